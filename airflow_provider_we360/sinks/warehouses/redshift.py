"""Amazon Redshift: Parquet on S3, COPY into a temporary table, then one transaction under a lock.

The bucket, and the role as which Redshift reads it, are configured in the AWS Connection of the
hook: the Redshift Connection's extra goes to the driver, which refuses unknown keys.
"""

from __future__ import annotations

import datetime as dt
import io
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from logging import getLogger
from typing import Any

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Kind
from airflow_provider_we360.sinks import error_messages, statements
from airflow_provider_we360.sinks.batching import split_by_bytes
from airflow_provider_we360.sinks.dialect import Dialect, literal, quote_with, round_trip
from airflow_provider_we360.sinks.error_map import (
    NOTHING_CHANGED,
    DriverFacts,
    ErrorKind,
    ErrorMap,
    Failure,
)
from airflow_provider_we360.sinks.session import DbSession, LoadStep, at, driver_calls
from airflow_provider_we360.sinks.table_schema import ColumnSchema, LoadTable, TableSchema
from airflow_provider_we360.sinks.target import TableName, TableRef, Target
from airflow_provider_we360.sinks.warehouse import Warehouse

log = getLogger(__name__)

LONGEST_TEXT_BYTES = 65535
PART_BYTES = 64 * 2**20
"""Bytes of Arrow in one file: bounded memory, and a cluster reads several in parallel."""
STALE_DAYS = 2
"""Files older than that belong to a load that was killed."""
FOLDER = "we360-redshift"

_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[\w!.*()=-]+)*/?", re.ASCII)
_ROLE = re.compile(r"default|arn:[a-z-]+:iam::\d{12}:role/[\w+=,.@:/-]+", re.ASCII)
_INTEGERS = frozenset({"bigint", "integer", "smallint", "numeric"})
_CONFLICT = re.compile(
    r"\b(1018|1020|1023)\b|[Ss]erializable isolation violation"
    r"|conflict with concurrent transaction"
)


def _find_loss(kind: Kind, type_name: str) -> str:
    """Numbers are rounded silently to the scale of numeric."""
    is_rounded = kind is Kind.DOUBLE and type_name.startswith("numeric")
    return round_trip("double precision", type_name) if is_rounded else ""


DIALECT = Dialect(
    types={
        Kind.TEXT: f"varchar({LONGEST_TEXT_BYTES})",
        Kind.DURATION: "bigint",
        Kind.BIGINT: "bigint",
        Kind.DOUBLE: "double precision",
        Kind.TIMESTAMP: "timestamp",
        Kind.DATE: "date",
        Kind.INSTANT: "timestamptz",
    },
    holding_types={
        Kind.TEXT: frozenset({"character varying", "text"}),
        Kind.DURATION: _INTEGERS,
        Kind.BIGINT: _INTEGERS,
        Kind.DOUBLE: frozenset({"double precision", "numeric"}),
        Kind.TIMESTAMP: frozenset({"timestamp without time zone"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp with time zone"}),
    },
    placeholder="%s",
    quote=quote_with('"', str.lower),
    fold=str.lower,
    find_loss=_find_loss,
    instant="{} AT TIME ZONE 'UTC'",
    # getdate() is in the time zone of the session.
    utc_now="CAST(getdate() AS timestamptz) AT TIME ZONE 'UTC'",
)


@dataclass(frozen=True, slots=True)
class S3Folder:
    """The folder on S3 that holds the staged files of one load only.

    :param root: ``s3://bucket`` or ``s3://bucket/prefix``, without a slash at the end.
    :param role: the role as which Redshift reads there: an ARN, or ``default``.
    :param day: today; part of the folder's name, so that later loads know its age.
    :param fs: the file system of the root.
    """

    root: str
    role: str
    aws_conn_id: str | None
    day: dt.date
    fs: Any
    name: str

    @property
    def url(self) -> str:
        """The folder's URL."""
        return f"{self.root}/{FOLDER}/{self.day}/{self.name}/"

    def put(self, number: int, content: bytes) -> None:
        """Write one file."""
        try:
            with self.fs.open(f"{self.url}part-{number:05}.parquet", "wb") as file:
                file.write(content)
        except Exception as error:  # noqa: BLE001 - each file system has its own, whose text may hold a signed URL
            raise SinkError(
                f"sql_conn_id: cannot write to {self.root} ({type(error).__name__}); "
                f"{NOTHING_CHANGED}. Check that the bucket exists and that AWS Connection "
                f"{self.aws_conn_id!r} may list, write and delete there"
            ) from None

    def clear(self) -> None:
        """Remove the files of this load; a failure is logged only, as the rows are loaded."""
        try:
            self._remove(self.url)
        except Exception as error:  # noqa: BLE001 - each file system has its own
            log.warning(
                "Could not remove %s (%s); a load of a later day tries again",
                self.url,
                type(error).__name__,
            )

    def sweep(self) -> None:
        """Remove the files that killed loads have left."""
        with suppress(Exception):  # another load may remove them too, or listing is not allowed
            for found in self.fs.ls(f"{self.root}/{FOLDER}/", detail=False):
                name = str(found).rstrip("/").rpartition("/")[2]
                if dt.date.fromisoformat(name) < self.day - dt.timedelta(days=STALE_DAYS):
                    self._remove(f"{self.root}/{FOLDER}/{name}/")
                    log.info("Removed %s/%s/%s of killed loads", self.root, FOLDER, name)

    def _remove(self, url: str) -> None:
        with suppress(FileNotFoundError):
            self.fs.rm(url, recursive=True)


def _read_settings(target: Target) -> tuple[str, str]:
    """Return the staging URL and the role that the AWS Connection configures.

    :raises We360ConfigError: if one is missing or invalid.
    """
    from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook

    aws_conn_id = target.hook.aws_conn_id
    found = AwsBaseHook(aws_conn_id=aws_conn_id, client_type="redshift").service_config
    root, role = found.get("we360_staging"), found.get("we360_iam_role", "default")
    place = f"in the extra of AWS Connection {aws_conn_id!r}, service_config.redshift"
    if not root:
        raise We360ConfigError(
            "sql_conn_id: Redshift reads its rows from S3, and no place is configured; "
            f'{place}, set "we360_staging": "s3://bucket/prefix", which only loads use'
        )
    if not isinstance(root, str) or not _BUCKET.fullmatch(root):
        raise We360ConfigError(
            f"sql_conn_id: {place}, we360_staging is no place on S3; write s3://bucket or "
            "s3://bucket/prefix"
        )
    if not isinstance(role, str) or not _ROLE.fullmatch(role):
        raise We360ConfigError(
            f"sql_conn_id: {place}, we360_iam_role is no role; write "
            "arn:aws:iam::123456789012:role/name, or default for the cluster's own. COPY of "
            "Parquet accepts no access keys"
        )
    return root.rstrip("/"), role


def _open_folder(target: Target, day: dt.date) -> S3Folder:
    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_we360._compat import paths_cannot_open

    root, role = _read_settings(target)
    aws_conn_id = target.hook.aws_conn_id
    try:
        fs = ObjectStoragePath(root, conn_id=aws_conn_id).fs
    except ImportError:
        raise We360ConfigError(
            "sql_conn_id: Redshift reads its rows from S3: "
            'pip install "airflow-provider-we360[redshift]"'
        ) from None
    except Exception as error:  # noqa: BLE001 - the text may hold a secret
        if reason := paths_cannot_open(error):
            raise We360ConfigError(
                f"sql_conn_id: Redshift reads its rows from S3, and {reason}"
            ) from None
        raise SinkError(
            f"sql_conn_id: cannot open {root} ({type(error).__name__}); {NOTHING_CHANGED}. Check "
            f"AWS Connection {aws_conn_id!r}"
        ) from None
    return S3Folder(root, role, aws_conn_id, day, fs, secrets.token_hex(6))


def check(target: Target) -> None:
    """Refuse a Connection without a place on S3."""
    _read_settings(target)


class RedshiftSession(DbSession):
    """A session over redshift_connector."""

    def resolve(self, name: TableName) -> TableRef:
        """Return the table in the named schema, or the Connection's own."""
        error_messages.require_database(name, self.target.conn_id, self.database)
        schema, table = (name.schema or self.schema).lower(), name.table.lower()
        parts = (self.database, schema, table)
        return TableRef(name, parts, f"{DIALECT.quote(schema)}.{DIALECT.quote(table)}")


@contextmanager
def connect(target: Target) -> Iterator[RedshiftSession]:
    """Open a session."""
    with driver_calls(ERRORS.classes):
        connection = target.hook.get_conn()
    try:
        connection.autocommit = True  # transactions are begun and ended in SQL
        cursor = connection.cursor()
        session = RedshiftSession(target, connection, cursor, DIALECT, ERRORS.classes)
        with at(LoadStep.PREPARE):
            # These decide what dates and instants mean, and a role or a parameter group can set
            # them.
            session.execute("SET timezone TO 'UTC'")
            session.execute("SET datestyle TO 'ISO, YMD'")
            session.database, session.user, session.schema = session.fetch_one(
                "SELECT current_database(), current_user, coalesce(current_schema(), 'public')"
            )
        yield session
    finally:
        with suppress(Exception):
            connection.close()


def reflect(session: DbSession, ref: TableRef) -> TableSchema | None:
    """Read the table from the catalogue."""
    found = session.fetch(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.atthasdef"
        " FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped",
        ref.parts[1:],
    )
    columns = {str(column[0]): ColumnSchema(*column) for column in found}
    return TableSchema(ref, columns) if columns else None


def stage(session: DbSession, table: LoadTable, batches: Iterable[RowBatch]) -> str:
    """Copy all batches into a temporary table, through files on S3."""
    folder = _open_folder(session.target, table.plan.loaded_at.date())
    folder.sweep()
    name, files = session.new_staging(), 0
    try:
        for rows in split_by_bytes(map(_check_lengths, batches), PART_BYTES):
            files += 1
            folder.put(files, _to_parquet(rows))
        statements.create_staging(session, name, table)
        if files:
            role = "default" if folder.role == "default" else literal(folder.role)
            with at(LoadStep.COPY):
                session.execute(
                    f"COPY {name} FROM {literal(folder.url)} IAM_ROLE {role} FORMAT AS PARQUET"
                )
    finally:
        folder.clear()
    return name


def _check_lengths(batch: RowBatch) -> RowBatch:
    """Return the batch if Redshift can hold each of its texts."""
    import pyarrow.compute as pc

    for column, array in zip(batch.columns, batch.to_arrow().columns, strict=True):
        if column.kind is not Kind.TEXT:
            continue
        if (pc.max(pc.binary_length(array)).as_py() or 0) > LONGEST_TEXT_BYTES:
            raise SinkError(
                f"table: a text in column {column.name} is longer than {LONGEST_TEXT_BYTES} bytes, "
                f"the most that Redshift holds; {NOTHING_CHANGED}. Leave the column out of columns"
            )
    return batch


def _to_parquet(batches: Sequence[Any]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    file = io.BytesIO()
    # Every reader of Parquet in AWS knows this form of timestamps.
    parquet.write_table(pa.Table.from_batches(batches), file, use_deprecated_int96_timestamps=True)
    return file.getvalue()


def lock(session: DbSession, ref: TableRef) -> None:
    """Lock the table; statement_timeout bounds the wait, because Redshift has no lock timeout."""
    unbounded = session.fetch_one("SELECT current_setting('statement_timeout')")[0] == "0"
    if unbounded:
        session.execute(f"SET statement_timeout TO {int(session.target.patience_s * 1000)}")
    session.execute(f"LOCK {ref.sql}")
    if unbounded:
        session.execute("RESET statement_timeout")


def has_unenforced_key(session: DbSession, table: LoadTable) -> bool:
    """Return True if the table declares a primary key, which Redshift does not enforce."""
    return bool(
        session.fetch(
            "SELECT 1 FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE k.contype = 'p' AND n.nspname = %s AND c.relname = %s",
            table.ref.parts[1:],
        )
    )


def _read_error(error: Exception) -> DriverFacts:
    reported = error.args[0] if error.args else None
    if not isinstance(reported, dict):
        return DriverFacts("", str(error))
    code, text = str(reported.get("C", "")), str(reported.get("M", ""))
    column = re.search(r'column "?(\w+)"?', text)
    if code.startswith("XX") and "NULL" in text:
        code = "23502"
    return DriverFacts(code, text, column=column[1] if column else None)


def _is_conflict(error: Exception) -> bool:
    facts = _read_error(error)
    return facts.code in ("40001", "40P01") or _CONFLICT.search(facts.text) is not None


def _explain_first(failure: Failure) -> We360Error | None:
    code = failure.facts.code
    timed_out = failure.step is LoadStep.LOCK and code == "57014"
    if timed_out or _CONFLICT.search(failure.facts.text):
        return ERRORS.explain_kind(ErrorKind.BUSY, failure)
    if failure.step is LoadStep.COPY and code and not code.startswith("08"):
        return SinkError(
            f"sql_conn_id: Redshift could not COPY from S3 (SQLSTATE {code}); {NOTHING_CHANGED}. "
            "Check that we360_iam_role is attached to the cluster and may list and read there, and "
            "that the bucket is in the cluster's region. SYS_LOAD_ERROR_DETAIL has the details"
        )
    return None


def _grants(failure: Failure) -> str:
    session = failure.session
    if session is None:
        return ""
    ref, user = session.resolve(failure.table), f'"{session.user}"'
    return (
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {ref.sql} TO {user}; to stage rows: GRANT "
        "TEMPORARY "
        f'ON DATABASE "{session.database}" TO {user}; to create the table: GRANT USAGE, CREATE ON '
        f"SCHEMA {DIALECT.quote(ref.parts[1])} TO {user}; columns can be added by the table's "
        "owner only"
    )


def _error_classes() -> tuple[type[Exception], ...]:
    driver = sys.modules.get("redshift_connector")
    # A broken connection is reported as whatever the socket raised.
    return (OSError, driver.Error) if driver else (OSError,)


ERRORS = ErrorMap(
    database="Redshift",
    classes=_error_classes,
    read=_read_error,
    # 23505 comes from the catalogue only: no other key is enforced.
    is_already_there=lambda error: _read_error(error).code in ("42P07", "42701", "42710", "23505"),
    is_conflict=_is_conflict,
    grants=_grants,
    kinds={
        "": ErrorKind.LOST,
        "08": ErrorKind.LOST,
        "40001": ErrorKind.BUSY,
        "40P01": ErrorKind.BUSY,
        "55P03": ErrorKind.BUSY,
        "42501": ErrorKind.DENIED,
        "23502": ErrorKind.NO_VALUE,
        "23": ErrorKind.CONSTRAINT,
        "22": ErrorKind.DOES_NOT_FIT,
    },
    hints={
        "25006": "the database takes no writes; is it a data share, or a replica?",
        "3F000": "create the schema first: CREATE SCHEMA",
        "53": "the cluster is short of disk, memory or connections",
        "57014": "the statement was cancelled, perhaps by statement_timeout or a query monitoring "
        "rule; raise it for this user",
        "57P": "the cluster is stopping, resuming or starting; run the task again",
    },
    names_only=("0A", "25", "3D", "3F", "40", "42", "53", "54", "55", "57"),
    connect_hint="check Host, Port, Schema (the database), Login and Password, or iam in its extra",
    explain_first=_explain_first,
)
WAREHOUSE = Warehouse(
    connect=connect,
    reflect=reflect,
    stage=stage,
    errors=ERRORS,
    check=check,
    lock=lock,
    has_unenforced_key=has_unenforced_key,
    experimental=True,
)
