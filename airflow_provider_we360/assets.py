"""``we360://<customer_id>/<report>``: a report of a tenant, as Airflow's assets and OpenLineage name it.

The Customer ID is the account's name, as a Snowflake or Salesforce account has one: no secret, and in every row that is loaded.
Reports of two tenants are two assets. E-mail and password are no part of it, nor is anything that a row holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_provider_we360.client import reports

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset as OpenLineageDataset
    from airflow.providers.common.compat.sdk import Asset

SCHEME = "we360"
FORM = f"{SCHEME}://<customer_id>/<report>"


def namespace(customer_id: str) -> str:
    """The tenant, as OpenLineage names where data comes from. Signs that would end a host are percent-encoded."""
    return f"{SCHEME}://{quote(customer_id, safe='')}"


def report_uri(customer_id: str, report: str) -> str:
    """URI of a tenant's report."""
    return f"{namespace(customer_id)}/{report}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """The URI in its one form; what Airflow asks of each scheme's owner.

    :raises ValueError: where it is of another form, or names no report that there is.
    """
    if "@" in uri.netloc:
        raise ValueError(
            f"URI {SCHEME}:// takes no user name or password; write {FORM} (an @ in a Customer ID is %40)"
        )
    if not uri.netloc:
        raise ValueError(f"URI {SCHEME}:// names no Customer ID; write {FORM}")
    if uri.query:
        raise ValueError(
            f"URI {SCHEME}:// takes no query; write {FORM}: days, mode and filters are no part of it"
        )
    report = uri.path.strip("/")
    if report not in reports.names():
        known = ", ".join(reports.names())
        raise ValueError(
            f"URI {SCHEME}:// must end in one report's name, not {report!r}; write {FORM}, with a report of {known}"
        )
    return uri._replace(netloc=quote(unquote(uri.netloc), safe=""), path=f"/{report}")


def create_asset(
    *, customer_id: str, report: str = "dynamic_report", extra: dict[str, Any] | None = None
) -> Asset:
    """The asset of a tenant's report.

    :param customer_id: as it stands in the Connection.
    :param report: name of the report.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=report_uri(customer_id, report), extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> OpenLineageDataset:  # noqa: ARG001 - asked for so
    """The same report in OpenLineage's words: the tenant is the namespace, the report the name."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parsed = urlsplit(str(asset.uri))
    return Dataset(namespace=f"{SCHEME}://{parsed.netloc}", name=parsed.path.lstrip("/"))
