"""The operator extra link to the documentation of the error that failed the task."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_we360.errors import We360Error

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, Context

_ATTRIBUTE = "we360_documentation"
"""Holds the address after a failed try: on the operator, and in Airflow 2 as an XCom."""


def documentation_of(error: BaseException | None) -> str:
    """Return the address of the section about the error's class; empty if it is none of ours."""
    if not isinstance(error, We360Error):
        return ""
    # The package's metadata knows the site, so that its address is written once (pyproject.toml).
    urls = importlib.metadata.metadata("airflow-provider-we360").get_all("Project-URL") or ()
    sites = (url.partition(", ") for url in urls)
    site = next((address for name, _, address in sites if name == "Documentation"), "")
    kind = type(error)
    return f"{site.rstrip('/')}/reference/errors.html#{kind.__module__}.{kind.__qualname__}"


@contextmanager
def linked_errors(operator: BaseOperator, context: Context) -> Iterator[None]:
    """Keep the documentation of an error of this provider for the link, and let the error pass."""
    from airflow_provider_we360 import _compat

    try:
        yield
    except We360Error as error:
        with suppress(Exception):  # a link must not hide the error
            address = documentation_of(error)
            setattr(operator, _ATTRIBUTE, address)
            if not _compat.IS_AIRFLOW_3:
                context["ti"].xcom_push(key=_ATTRIBUTE, value=address)
        raise


class DocumentationLink(BaseOperatorLink):
    """The button "Documentation" of a task that failed with an error of this provider."""

    name = "Documentation"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; empty if the last try did not fail with such an error."""
        from airflow_provider_we360 import _compat

        # Airflow 3 calls this at the end of the task's process, Airflow 2 in the webserver.
        if _compat.IS_AIRFLOW_3:
            return str(getattr(operator, _ATTRIBUTE, ""))
        return str(_compat.XCom.get_value(ti_key=ti_key, key=_ATTRIBUTE) or "")
