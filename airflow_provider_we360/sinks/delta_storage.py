"""Storage options: how ``deltalake`` reaches the store that an Airflow Connection describes.

``deltalake`` has its own clients of the stores, which know nothing of Airflow's hooks.
"""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks.lake_table import explained

_STORES = {
    "s3": "aws",
    "s3a": "aws",
    "gs": "google_cloud_platform",
    "abfs": "wasb",
    "abfss": "wasb",
}
"""Type of the Connection, by the scheme of the URL."""


def storage_options(path: str, connection: Any) -> dict[str, str]:
    """Return the options; they hold secrets.

    Without a Connection they are empty: the worker's own environment decides.

    :raises We360ConfigError: if the Connection does not belong to the store.
    """
    if connection is None:
        return {}
    scheme = path.partition("://")[0] if "://" in path else "file"
    if (wanted := _STORES.get(scheme)) is None:
        raise We360ConfigError(
            f"lakehouse_conn_id: {path} needs no Connection, or one that this provider cannot "
            f"use; leave it out, or write one of {', '.join(_STORES)}://"
        )
    if connection.conn_type != wanted:
        raise We360ConfigError(
            f"lakehouse_conn_id: {connection.conn_id!r} is of type {connection.conn_type!r}; "
            f"{scheme}:// needs one of type {wanted!r}"
        )
    read = {"aws": _read_aws, "google_cloud_platform": _read_google, "wasb": _read_azure}[wanted]
    with explained("read the credentials of", path):
        return {name: str(value) for name, value in read(connection).items() if value}


def _read_aws(connection: Any) -> dict[str, Any]:
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    hook: Any = AwsBaseHook(aws_conn_id=connection.conn_id, client_type="s3")
    found = hook.get_credentials()
    endpoint = hook.conn_config.get_service_endpoint_url("s3") or ""
    return {
        "AWS_ACCESS_KEY_ID": found.access_key,
        "AWS_SECRET_ACCESS_KEY": found.secret_key,
        "AWS_SESSION_TOKEN": found.token,
        "AWS_REGION": hook.region_name,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true" if endpoint.startswith("http://") else "",
    }


def _read_google(connection: Any) -> dict[str, Any]:
    extra = connection.extra_dejson
    key = extra.get("keyfile_dict")
    return {
        "google_service_account": extra.get("key_path"),
        "google_service_account_key": key if isinstance(key, str) or not key else json.dumps(key),
    }


def _read_azure(connection: Any) -> dict[str, Any]:
    extra = connection.extra_dejson
    given = dict(
        part.split("=", 1) for part in extra.get("connection_string", "").split(";") if "=" in part
    )
    return {
        "azure_storage_account_name": given.get("AccountName") or connection.login,
        "azure_storage_account_key": given.get("AccountKey") or connection.password,
        "azure_storage_sas_token": extra.get("sas_token"),
    }
