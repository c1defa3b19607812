"""Place: the dataset that rows land in, named as OpenLineage's naming rules say, so that other tools' lineage meets ours.

Nothing of it is needed to load: it is put together when somebody who keeps lineage asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any
from urllib.parse import quote, urlsplit

log = getLogger(__name__)

_SCHEMES = {"s3a": "s3", "gcs": "gs", "local": "file", "": "file"}
"""Names that one store has beside its usual one."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A column as the target has it."""

    name: str
    type_name: str


@dataclass(frozen=True, slots=True)
class Place:
    """A dataset.

    :param namespace: the server, bucket or file system.
    :param name: the table or folder in it.
    :param uri: the same as one URI, for Airflow's assets.
    :param columns: how the target spells the columns of a load, by our name of each.
    """

    namespace: str
    name: str
    uri: str
    columns: Mapping[str, Stored]


def table(namespace: str, parts: Sequence[str], columns: Mapping[str, Stored]) -> Place:
    """A table.

    :param parts: its full name, outermost first.
    """
    root = namespace if "://" in namespace else f"{namespace}:/"
    return Place(
        namespace,
        ".".join(parts),
        "/".join([root, *(quote(part, safe="") for part in parts)]),
        columns,
    )


def folder(path: str, columns: Mapping[str, Stored]) -> Place:
    """A folder of files.

    :param path: as Airflow's ``ObjectStoragePath`` takes it. A Connection that it names is no part of the place.
    """
    url = urlsplit(path)
    scheme = _SCHEMES.get(url.scheme, url.scheme)
    bucket = url.netloc.rpartition("@")[2]
    where = url.path.rstrip("/") or "/"
    if scheme == "file":
        return Place("file", where, f"file://{quote(where)}", columns)
    root = f"{scheme}://{bucket}"
    return Place(root, where.lstrip("/") or "/", f"{root}{where}".rstrip("/"), columns)


def database_namespace(hook: Any, conn_id: str) -> str:
    """Where a database is, as its official hook tells OpenLineage; else its Connection's type, host and port."""
    connection = hook.get_connection(conn_id)
    try:
        known = hook.get_openlineage_database_info(connection)
    except Exception as error:  # noqa: BLE001 - also where OpenLineage's own package, which names the answer, is absent
        log.debug("the hook does not tell where the database is (%s)", type(error).__name__)
        known = None
    if known is not None:
        return f"{known.scheme}://{known.authority}" if known.authority else str(known.scheme)
    port = f":{connection.port}" if connection.port else ""
    return f"{connection.conn_type}://{connection.host or ''}{port}"
