"""``we360://<customer_id>/<report>``: the URI of a tenant's report in assets and OpenLineage.

The Customer ID names the account, as in Snowflake or Salesforce. It is no secret, and every loaded
row contains it. E-mail, password and the content of rows are not part of the URI.
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
    """Return the tenant as an OpenLineage namespace.

    Characters that would end a host name are percent-encoded.
    """
    return f"{SCHEME}://{quote(customer_id, safe='')}"


def report_uri(customer_id: str, report: str) -> str:
    """Return the URI of a tenant's report."""
    return f"{namespace(customer_id)}/{report}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI in its canonical form. Airflow calls this for every ``we360://`` asset.

    :raises ValueError: if it has another form, or names an unknown report.
    """
    if "@" in uri.netloc:
        raise ValueError(
            f"URI {SCHEME}:// takes no user name or password; write {FORM} (an @ in a Customer ID"
            " is %40)"
        )
    if not uri.netloc:
        raise ValueError(f"URI {SCHEME}:// contains no Customer ID; write {FORM}")
    if uri.query:
        raise ValueError(
            f"URI {SCHEME}:// takes no query; write {FORM}: days, mode and filters are not part of"
            " it"
        )
    report = uri.path.strip("/")
    if report not in reports.names():
        known = ", ".join(reports.names())
        raise ValueError(
            f"URI {SCHEME}:// must end in the name of a report, not {report!r}; write {FORM}, where"
            f" the report is one of {known}"
        )
    return uri._replace(netloc=quote(unquote(uri.netloc), safe=""), path=f"/{report}")


def create_asset(
    *, customer_id: str, report: str = "dynamic_report", extra: dict[str, Any] | None = None
) -> Asset:
    """Return the asset of a tenant's report.

    :param customer_id: the Customer ID of the Connection.
    :param report: name of the report.
    """
    from airflow.providers.common.compat.sdk import Asset

    return Asset(uri=report_uri(customer_id, report), extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: object) -> OpenLineageDataset:  # noqa: ARG001
    """Return the report as an OpenLineage dataset: the tenant is its namespace."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    parsed = urlsplit(str(asset.uri))
    return Dataset(namespace=f"{SCHEME}://{parsed.netloc}", name=parsed.path.lstrip("/"))
