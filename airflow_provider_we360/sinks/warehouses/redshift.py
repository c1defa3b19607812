"""Amazon Redshift: Parquet on S3, COPY into a temporary table, then one transaction under a lock on the table.

Where on S3, and as which role Redshift reads it, stands in the AWS Connection of the hook: the Redshift Connection's extra goes
to the driver, which refuses what it does not know.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from logging import getLogger
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import (
    SinkBusy,
    SinkError,
    We360ConfigError,
    We360Error,
    foreign_text,
)
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import Load
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.glue import parts
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse, literal

log = getLogger(__name__)

LONGEST_TEXT_BYTES = 65535
PART_BYTES = 64 * 2**20
"""So much Arrow goes into one file: bounded memory, and the slices of a cluster read side by side."""
STALE_DAYS = 2
"""Files older than that were left by a load that was killed."""
FOLDER = "we360-redshift"

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*()=-]+)*/?", re.ASCII)
_ROLE = re.compile(r"default|arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@:/-]+", re.ASCII)
_INTEGERS = frozenset({"bigint", "integer", "smallint", "numeric"})

_ALREADY_THERE = frozenset(
    {"42P07", "42701", "42710", "23505"}
)  # the last: of the catalogue, no other key is enforced
_VALUE_FREE = ("0A", "25", "3D", "3F", "40", "42", "53", "54", "55", "57")
"""Classes of SQLSTATE whose text is about names and the server. All others may quote a row."""
_ADVICE = {
    "25006": "the database takes no writes; is it a data share, or a replica?",
    "3F000": "create the schema first: CREATE SCHEMA",
    "53": "the cluster is short of room, memory or connections",
    "57014": "the statement was cancelled, perhaps by statement_timeout or a query monitoring rule; raise it for this user",
    "57P": "the cluster is going down, resuming or starting; run the task again",
}
_BUSY = frozenset({"40001", "40P01", "55P03"})
_CONFLICT = re.compile(
    r"\b(1018|1020|1023)\b|[Ss]erializable isolation violation|conflict with concurrent transaction"
)


class _Staging:
    """The folder on S3 that is this load's alone.

    :param root: ``s3://bucket`` or ``s3://bucket/prefix``, without a slash at the end.
    :param role: as which role Redshift reads there: an ARN, or ``default``.
    :param day: today; it stands in the folder's name, so that who comes later knows its age.
    """

    def __init__(self, root: str, role: str, aws_conn_id: str | None, day: dt.date) -> None:
        self.root, self.role, self.aws_conn_id, self.day = root, role, aws_conn_id, day
        self.url = f"{root}/{FOLDER}/{day}/{secrets.token_hex(6)}/"

    @cached_property
    def fs(self) -> Any:
        from airflow.providers.common.compat.sdk import ObjectStoragePath

        return ObjectStoragePath(self.root, conn_id=self.aws_conn_id).fs

    def put(self, number: int, content: bytes) -> None:
        try:
            with self.fs.open(f"{self.url}part-{number:05}.parquet", "wb") as file:
                file.write(content)
        except ImportError:
            raise We360ConfigError(
                'sql_conn_id: Redshift takes its rows from S3: pip install "airflow-provider-we360[redshift]"'
            ) from None
        except Exception as error:  # noqa: BLE001 - each file system has its own, whose text may hold a signed URL
            from airflow_provider_we360._compat import paths_cannot_open

            if reason := paths_cannot_open(error):
                raise We360ConfigError(
                    f"sql_conn_id: Redshift takes its rows from S3, and {reason}"
                ) from None
            raise SinkError(
                f"sql_conn_id: cannot write to {self.root} ({type(error).__name__}); nothing was changed. Check that the "
                f"bucket exists and that AWS Connection {self.aws_conn_id!r} may list, write and delete there"
            ) from None

    def clear(self) -> None:
        """Take away what this load has put there. That it fails is told, not raised: the rows are where they should be."""
        try:
            self._remove(self.url)
        except Exception as error:  # noqa: BLE001 - each file system has its own
            log.warning(
                "Could not remove %s (%s); a load of a later day tries again",
                self.url,
                type(error).__name__,
            )

    def sweep(self) -> None:
        """Take away what killed loads have left."""
        with suppress(Exception):  # another load may be at it, too, or we may not list here
            for found in self.fs.ls(f"{self.root}/{FOLDER}/", detail=False):
                name = str(found).rstrip("/").rpartition("/")[2]
                if dt.date.fromisoformat(name) < self.day - dt.timedelta(days=STALE_DAYS):
                    self._remove(f"{self.root}/{FOLDER}/{name}/")
                    log.info(
                        "Removed %s/%s/%s, left by loads that were killed", self.root, FOLDER, name
                    )

    def _remove(self, url: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm(url, recursive=True)


class RedshiftWarehouse(Warehouse):
    """A load into Redshift, a cluster or serverless, over redshift_connector."""

    placeholder: ClassVar[str] = "%s"
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: f"varchar({LONGEST_TEXT_BYTES})",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double precision",
        Kind.TIMESTAMP: "timestamp",
        Kind.DATE: "date",
        Kind.INSTANT: "timestamptz",
    }
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"character varying", "text"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double precision", "numeric"}),
        Kind.TIMESTAMP: frozenset({"timestamp without time zone"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp with time zone"}),
    }

    _connection: Any = None
    _cursor: Any = None
    _user = "the user"
    _schema = ""
    _copies = _waits = False

    @classmethod
    def require_usable(cls, target: Target) -> None:
        _staging_of(target, dt.date.min)

    @property
    def driver_error(self) -> tuple[type[Exception], ...]:
        driver = sys.modules.get("redshift_connector")
        # A connection that breaks comes as whatever the socket has raised.
        return (OSError, driver.Error) if driver else (OSError,)

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        connection = self.target.hook.get_conn()
        try:
            connection.autocommit = True  # transactions are begun and ended in SQL, as everywhere
            self._connection, self._cursor = connection, connection.cursor()
            self._settle_in()
            yield batches
        finally:
            with suppress(Exception):
                connection.close()

    def stage(self, batches: Iterable[RowBatch]) -> None:
        columns = [f"{self.quote(c.name)} {self.type_names[c.kind]}" for c in self.load.columns]
        staging = _staging_of(self.target, self.load.loaded_at.date())
        staging.sweep()
        files = 0
        try:
            for rows in parts(map(self._with_room, batches), PART_BYTES):
                files += 1
                staging.put(files, _parquet(rows))
            self.run(f"CREATE TEMPORARY TABLE {self.staging} ({', '.join(columns)})")
            if files:
                self._copies = True
                role = "default" if staging.role == "default" else literal(staging.role)
                self.run(
                    f"COPY {self.staging} FROM {literal(staging.url)} IAM_ROLE {role} FORMAT AS PARQUET"
                )
                self._copies = False
        finally:
            staging.clear()

    def _with_room(self, batch: RowBatch) -> RowBatch:
        """The batch, if Redshift has room for each of its texts."""
        import pyarrow.compute as pc

        for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
            if (
                column.kind is Kind.TEXT
                and (pc.max(pc.binary_length(array)).as_py() or 0) > LONGEST_TEXT_BYTES
            ):
                raise SinkError(
                    f"table: a text in column {column.name} is longer than {LONGEST_TEXT_BYTES} bytes, the most that Redshift "
                    "holds; nothing was changed. Leave the column out of columns"
                )
        return batch

    def lock(self) -> None:
        # Redshift knows no bound of its own for the wait.
        unbounded = self.query("SELECT current_setting('statement_timeout')")[0][0] == "0"
        if unbounded:
            self.run(f"SET statement_timeout TO {int(self.target.patience_s * 1000)}")
        self._waits = True
        self.run(f"LOCK {self.table}")
        self._waits = False
        if unbounded:
            self.run("RESET statement_timeout")

    def promises_key(self) -> bool:
        return bool(
            self.query(
                "SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
                " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'p' AND n.nspname = %s AND c.relname = %s",
                [self._schema, self.target.table.table.lower()],
            )
        )

    def beside(self, target: Target, load: Load) -> Self:
        refusals.require_database(target, self._database)
        other = super().beside(target, load)
        other._schema = target.table.schema or self._usual_schema  # noqa: SLF001 - it is of our own kind
        return other

    def quote(self, name: str) -> str:
        return f'"{name.lower()}"'

    def full_name(self) -> tuple[str, ...]:
        return (self._database, *super().full_name())

    @property
    def table(self) -> str:
        return f"{self.quote(self._schema)}.{self.quote(self.target.table.table)}"

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        self._cursor.execute(sql, list(parameters) or None)
        return int(self._cursor.rowcount)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self._cursor.execute(sql, list(parameters) or None)
        return [tuple(row) for row in self._cursor.fetchall()]

    def stored_table(self) -> StoredTable | None:
        found = self.query(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef FROM pg_attribute a"
            " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped",
            [self._schema, self.target.table.table.lower()],
        )
        columns = {str(column[0]): StoredColumn(*column) for column in found}
        return StoredTable(str(self.target), columns) if columns else None

    def is_already_there(self, error: Exception) -> bool:
        return _field(error, "C") in _ALREADY_THERE

    def is_conflict(self, error: Exception) -> bool:
        return (
            _field(error, "C") in ("40001", "40P01")
            or _CONFLICT.search(_field(error, "M")) is not None
        )

    def explain(self, error: Exception) -> We360Error:
        state, text = _field(error, "C"), _field(error, "M")
        if self._connection is None:
            return SinkError(
                f"sql_conn_id: no connection to Redshift through {self.target.conn_id!r} ({foreign_text(text or error)}); "
                "check Host, Port, Schema (the database), Login and Password, or iam in its extra"
            )
        if not state or state.startswith("08"):
            return refusals.lost(self.target, "Redshift", at_commit=self.is_committing)
        if state in _BUSY or (self._waits and state == "57014") or _CONFLICT.search(text):
            return SinkBusy(
                f"table: another load held or changed {self.target} meanwhile ({state}); nothing was changed. "
                "Run the task again"
            )
        if self._copies:
            return SinkError(
                f"sql_conn_id: Redshift could not COPY from S3 ({state}); nothing was changed. Check that we360_iam_role is "
                "attached to the cluster and may list and get there, and that the bucket is of the cluster's region. "
                "SYS_LOAD_ERROR_DETAIL says more"
            )
        if state == "42501":
            return self._forbidden()
        if state == "23502" or (state.startswith("XX") and "NULL" in text):
            column = re.search(r'column "?(\w+)"?', text)
            return refusals.no_value(self.target, column[1] if column else None)
        if state.startswith("23"):
            return refusals.constraint(self.target)
        if state.startswith("22"):
            return SinkError(
                f"table: a value does not fit the type of its column in {self.target} (SQLSTATE {state}); nothing was changed. "
                "Widen the column, or leave it out of columns"
            )
        told = f": {foreign_text(text)}" if state.startswith(_VALUE_FREE) else ""
        advice = next(
            (advice for prefix, advice in _ADVICE.items() if state.startswith(prefix)),
            "nothing was changed",
        )
        return SinkError(
            f"Redshift refused the load into {self.target} (SQLSTATE {state}{told}): {advice}"
        )

    def _forbidden(self) -> SinkError:
        user, schema = f'"{self._user}"', self.quote(self._schema)
        return SinkError(
            f"table: {user} may not do what a load into {self.target} needs; nothing was changed. "
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {self.table} TO {user}; to stage rows: GRANT TEMPORARY ON DATABASE "
            f'"{self._database}" TO {user}; to create the table: GRANT USAGE, CREATE ON SCHEMA {schema} TO {user}; '
            "columns can be added by the table's owner only"
        )

    def _settle_in(self) -> None:
        self._database, self._user, schema = self.query(
            "SELECT current_database(), current_user, current_schema()"
        )[0]
        refusals.require_database(self.target, self._database)
        self._usual_schema = schema or "public"
        self._schema = self.target.table.schema or self._usual_schema


def _staging_of(target: Target, day: dt.date) -> _Staging:
    """What the AWS Connection says of the folder.

    :raises We360ConfigError: where it says nothing, or no such thing.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    aws_conn_id = target.hook.aws_conn_id
    found = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="redshift").service_config
    root, role = found.get("we360_staging"), found.get("we360_iam_role", "default")
    where = f"in the extra of AWS Connection {aws_conn_id!r}, service_config.redshift"
    if not root:
        raise We360ConfigError(
            f"sql_conn_id: Redshift takes its rows from S3, and nothing says where to put them: {where}, set "
            '"we360_staging": "s3://bucket/prefix", a place that only loads use'
        )
    if not isinstance(root, str) or not _BUCKET.fullmatch(root):
        raise We360ConfigError(
            f"sql_conn_id: {where}, we360_staging is no place on S3; write s3://bucket or s3://bucket/prefix"
        )
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise We360ConfigError(
            f"sql_conn_id: {where}, we360_iam_role is no role; write arn:aws:iam::123456789012:role/name, or default for the "
            "cluster's own. COPY of Parquet takes no access keys"
        )
    return _Staging(root.rstrip("/"), role, aws_conn_id, day)


def _parquet(batches: Sequence[Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    # The form of moments that every reader of Parquet in AWS has known from the start.
    parquet.write_table(pa.Table.from_batches(batches), file, use_deprecated_int96_timestamps=True)
    return file.getvalue()


def _field(error: Exception, name: str) -> str:
    """A field of the server's answer; empty where it is not the server that speaks."""
    told = error.args[0] if error.args else None
    return str(told.get(name, "")) if isinstance(told, dict) else ""


WAREHOUSE = RedshiftWarehouse
