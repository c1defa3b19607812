"""The dataset that rows are stored in, named by OpenLineage's naming rules.

The names match those of other tools, so that their lineage meets ours. Nothing here is needed to
load rows: it runs only if lineage is collected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any
from urllib.parse import quote, urlsplit

log = getLogger(__name__)

# Other names of a store, by the scheme that OpenLineage uses.
_SCHEMES = {"s3a": "s3", "gcs": "gs", "local": "file", "": "file"}


@dataclass(frozen=True, slots=True)
class ColumnRef:
    """A column in the target's own spelling."""

    name: str
    type_name: str


@dataclass(frozen=True, slots=True)
class DatasetRef:
    """A dataset.

    :param namespace: the server, bucket or file system.
    :param name: the table or folder in it.
    :param uri: both as one URI, for Airflow's assets.
    :param columns: the target's columns, by the report's name of each.
    """

    namespace: str
    name: str
    uri: str
    columns: Mapping[str, ColumnRef]


def table_dataset(
    namespace: str, parts: Sequence[str], columns: Mapping[str, ColumnRef]
) -> DatasetRef:
    """Return the dataset of a table.

    :param parts: its full name, outermost first.
    """
    root = namespace if "://" in namespace else f"{namespace}:/"
    uri = "/".join([root, *(quote(part, safe="") for part in parts)])
    return DatasetRef(namespace, ".".join(parts), uri, columns)


def folder_dataset(path: str, columns: Mapping[str, ColumnRef]) -> DatasetRef:
    """Return the dataset of a folder of files.

    :param path: a path for Airflow's ``ObjectStoragePath``. A Connection in it is left out.
    """
    url = urlsplit(path)
    scheme = _SCHEMES.get(url.scheme, url.scheme)
    bucket = url.netloc.rpartition("@")[2]
    folder = url.path.rstrip("/") or "/"
    if scheme == "file":
        return DatasetRef("file", folder, f"file://{quote(folder)}", columns)
    root = f"{scheme}://{bucket}"
    return DatasetRef(root, folder.lstrip("/") or "/", f"{root}{folder}".rstrip("/"), columns)


def database_namespace(hook: Any, conn_id: str) -> str:
    """Return the server as its official hook names it for OpenLineage, else type, host and port."""
    connection = hook.get_connection(conn_id)
    try:
        known = hook.get_openlineage_database_info(connection)
    except Exception as error:  # noqa: BLE001 - fails in many ways if OpenLineage is not installed
        log.debug("The hook does not name its database for lineage (%s)", type(error).__name__)
        known = None
    if known is not None:
        return f"{known.scheme}://{known.authority}" if known.authority else str(known.scheme)
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.conn_type}://{connection.host or ''}{port}"
