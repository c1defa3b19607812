"""Google BigQuery: Parquet by a load job into a staging table, then one transaction in a session.

BigQuery enforces no key and knows no lock, but of two transactions that change one table it takes one back. So each load
changes the one row of a small table that stands beside the target, and who loses tries again.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from logging import getLogger
from typing import Any, ClassVar, Self

from airflow_provider_we360.errors import SinkBusy, SinkError, We360ConfigError, We360Error
from airflow_provider_we360.rows.batch import RowBatch
from airflow_provider_we360.rows.schema import Column, Kind
from airflow_provider_we360.sinks import refusals
from airflow_provider_we360.sinks.base import TENANT, Load, WriteMode
from airflow_provider_we360.sinks.catalogue import StoredColumn, StoredTable
from airflow_provider_we360.sinks.glue import parts
from airflow_provider_we360.sinks.scope import Condition
from airflow_provider_we360.sinks.target import Target
from airflow_provider_we360.sinks.warehouse import Warehouse

log = getLogger(__name__)

STAGING_HOURS = 6
"""After that BigQuery itself drops the staging of a load that was killed."""
GROUP_BYTES = 64 * 2**20
"""So much Arrow goes into one row group: memory is bounded."""

_CONFLICT = re.compile(
    r"Transaction is aborted due to concurrent update|Could not serialize access to table",
    re.IGNORECASE,
)
_NO_VALUE = re.compile(
    r"Required field (?:\w+\.)*(\w+) cannot be null|NULL value for (?:non-nullable )?column (\w+)",
    re.IGNORECASE,
)
_BILLING = re.compile(r"billing has not been enabled|free tier|sandbox", re.IGNORECASE)


class BigQueryWarehouse(Warehouse):
    """A load into BigQuery, over google-cloud-bigquery."""

    ddl_commits: ClassVar[bool] = True
    type_names: ClassVar[Mapping[Kind, str]] = {
        Kind.TEXT: "STRING",
        Kind.DURATION: "INT64",
        Kind.BIGINT: "INT64",
        Kind.DOUBLE: "FLOAT64",
        Kind.TIMESTAMP: "DATETIME",
        Kind.DATE: "DATE",
        Kind.INSTANT: "TIMESTAMP",
    }
    # The catalogue tells types by the names that they had in legacy SQL.
    holding_types: ClassVar[Mapping[Kind, frozenset[str]]] = {
        Kind.TEXT: frozenset({"string"}),
        Kind.DURATION: frozenset({"integer", "int64", "numeric", "bignumeric"}),
        Kind.BIGINT: frozenset({"integer", "int64", "numeric", "bignumeric"}),
        Kind.DOUBLE: frozenset({"float", "float64"}),
        Kind.TIMESTAMP: frozenset({"datetime"}),
        Kind.DATE: frozenset({"date"}),
        Kind.INSTANT: frozenset({"timestamp"}),
    }

    _client: Any = None
    _place: Any = None
    _location: str | None = None
    _session: str | None = None

    def __init__(self, target: Target, load: Load) -> None:
        super().__init__(target, load)
        self._staging_name = f"_we360_stg_{secrets.token_hex(6)}"
        self._lock_name = f"_we360_lock_{target.table.table}"

    @classmethod
    def require_usable(cls, target: Target) -> None:
        try:
            import google.cloud.bigquery  # noqa: F401 - whether it is there
        except ImportError:
            raise We360ConfigError(
                'sql_conn_id: BigQuery needs its client: pip install "airflow-provider-we360[google]"'
            ) from None
        _dataset_of(target, "")

    @property
    def driver_error(self) -> tuple[type[Exception], ...]:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError

        # A connection that breaks comes as an error of requests, which is an OSError.
        return (GoogleAPIError, GoogleAuthError, OSError)

    @contextmanager
    def opened(self, batches: Iterable[RowBatch]) -> Iterator[Iterable[RowBatch]]:
        from google.cloud import bigquery

        client = _client_of(self.target)
        try:
            dataset = bigquery.DatasetReference(*_dataset_of(self.target, client.project))
            # Jobs run where the data lies; asking also tells a dataset that is missing from a table that is.
            self._location = client.get_dataset(dataset).location
            self._client, self._place = client, dataset
            self.staging = self._named(self._staging_name)
            self._open_session()
            yield batches
        finally:
            self._close(client)

    def beside(self, target: Target, load: Load) -> Self:
        from google.cloud import bigquery

        other = super().beside(target, load)
        other._place = bigquery.DatasetReference(*_dataset_of(target, self._client.project))  # noqa: SLF001 - of our own kind
        other._lock_name = f"_we360_lock_{target.table.table}"  # noqa: SLF001
        other._require_lock_table()  # noqa: SLF001 - it cannot be made within the transaction
        return other

    def _open_session(self) -> None:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(create_session=True, use_legacy_sql=False)
        job = self._client.query(
            "SELECT 1", job_config=config, location=self._location, job_retry=None
        )
        job.result(job_retry=None)
        self._session = job.session_info.session_id

    def _close(self, client: Any) -> None:
        """Whatever fails here ends by itself: an idle session after a day, the staging after its hours."""
        if self._session is not None:
            with suppress(Exception):
                self._job("CALL BQ.ABORT_SESSION()")
        if self._place is not None:
            with suppress(Exception):
                client.delete_table(self._place.table(self._staging_name), not_found_ok=True)
        with suppress(Exception):
            client.close()

    def stage(self, batches: Iterable[RowBatch]) -> None:
        from google.cloud import bigquery

        with (
            tempfile.TemporaryFile() as file
        ):  # has no name: it goes with the process, however that ends
            rows = self._write(batches, file)
            self._create_staging()
            if rows:
                config = bigquery.LoadJobConfig(
                    source_format=bigquery.SourceFormat.PARQUET,
                    schema=self._fields(self.load.columns, ()),
                    write_disposition=bigquery.WriteDisposition.WRITE_APPEND,
                    create_disposition=bigquery.CreateDisposition.CREATE_NEVER,
                )
                staging = self._place.table(self._staging_name)
                self._client.load_table_from_file(
                    file, staging, rewind=True, job_config=config, location=self._location
                ).result()

    def _create_staging(self) -> None:
        """In SQL, where its end is counted by BigQuery's own clock."""
        columns = ", ".join(
            f"{self.quote(c.name)} {self.type_names[c.kind]}" for c in self.load.columns
        )
        self.run(
            f"CREATE TABLE {self.staging} ({columns}) OPTIONS (description = 'Rows of a We360 load on their way', "
            f"expiration_timestamp = TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {STAGING_HOURS} HOUR))"
        )

    def _write(self, batches: Iterable[RowBatch], file: Any) -> int:
        """All rows as one file of Parquet; answers how many."""
        import pyarrow as pa
        from pyarrow import parquet

        from airflow_provider_we360.rows.arrow import arrow_schema

        count = 0
        with parquet.ParquetWriter(file, arrow_schema(self.load.columns)) as writer:
            for rows in parts(batches, GROUP_BYTES):
                table = pa.Table.from_batches(rows)
                writer.write_table(table)
                count += table.num_rows
        return count

    # Transaction

    def begin(self) -> None:
        self._require_lock_table()
        self.run("BEGIN TRANSACTION")  # BEGIN alone may be read as the start of a block

    def lock(self) -> None:
        self.run(
            f"UPDATE {self._named(self._lock_name)} SET held_at = CURRENT_TIMESTAMP() WHERE TRUE"
        )

    def _require_lock_table(self) -> None:
        """With its row in it from the start: a table without rows would keep nobody apart."""
        from google.api_core.exceptions import Conflict, NotFound

        try:
            self._client.get_table(self._place.table(self._lock_name))
        except NotFound:
            with suppress(Conflict):  # a sibling was first
                self.run(
                    f"CREATE TABLE IF NOT EXISTS {self._named(self._lock_name)} "
                    "OPTIONS (description = 'Keeps two loads of one table apart; made by airflow-provider-we360') "
                    "AS SELECT CURRENT_TIMESTAMP() AS held_at"
                )

    # SQL

    def quote(self, name: str) -> str:
        return f"`{name}`"

    def literal(self, text: str) -> str:
        escaped = (
            text.replace("\\", "\\\\").replace("'", "\\'").replace("\r", "\\r").replace("\n", "\\n")
        )
        return f"'{escaped}'"

    @property
    def table(self) -> str:
        return self._named(self.target.table.table)

    def _named(self, table: str) -> str:
        return f"`{self._place.project}`.`{self._place.dataset_id}`.`{table}`"

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        job, _ = self._job(sql, parameters)
        return int(job.num_dml_affected_rows or 0)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self._job(sql, parameters)[1]]

    def _job(self, sql: str, parameters: Sequence[object] = ()) -> tuple[Any, Any]:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            use_legacy_sql=False,
            use_query_cache=False,
            query_parameters=[
                bigquery.ScalarQueryParameter(None, _parameter_type(value), value)
                for value in parameters
            ],
            connection_properties=[bigquery.ConnectionProperty("session_id", self._session)],
        )
        # No job is tried again by the client: where its failure has ended the transaction, the next would commit itself.
        job = self._client.query(sql, job_config=config, location=self._location, job_retry=None)
        return job, job.result(job_retry=None)

    def delete_staged_keys(self, condition: Condition) -> int:
        return self.run(
            f"DELETE FROM {self.table} AS held WHERE {condition.sql} AND {self.was_staged()}",
            condition.parameters,
        )

    def promises_key(self) -> bool:
        constraints = self._client.get_table(
            self._place.table(self.target.table.table)
        ).table_constraints
        return constraints is not None and constraints.primary_key is not None

    def was_staged(self) -> str:
        alike = " AND ".join(
            f"coming.{name} = held.{name}" for name in map(self.quote, self.load.key)
        )
        return f"EXISTS (SELECT 1 FROM {self.staging} AS coming WHERE {alike})"

    # Table and columns

    def stored_table(self) -> StoredTable | None:
        from google.api_core.exceptions import NotFound

        try:
            found = self._client.get_table(self._place.table(self.target.table.table))
        except NotFound:
            return None
        columns = {
            field.name.lower(): StoredColumn(
                field.name,
                field.field_type,
                field.mode == "REQUIRED",
                field.default_value_expression is not None,
            )
            for field in found.schema
        }
        return StoredTable(str(self.target), columns)

    def create_table(self) -> None:
        """Partitioned by day, so that a replaced window reads its own days; a table of sums has few rows and no day."""
        from google.cloud import bigquery
        from google.cloud.bigquery.table import PrimaryKey, TableConstraints

        reference = self._place.table(self.target.table.table)
        table = bigquery.Table(reference, self._fields(self.load.all_columns, self.load.table_key))
        table.description = self.load.about
        if self.load.day_column:
            table.time_partitioning = bigquery.TimePartitioning(field=self.load.day_column)
        # Every statement of ours asks for one tenant, user_ids and merges for people.
        table.clustering_fields = [TENANT.name, self.load.person_column]
        if self.load.write_mode is not WriteMode.APPEND:
            table.table_constraints = TableConstraints(PrimaryKey(list(self.load.table_key)), None)
        self._client.create_table(table)

    def add_columns(self, columns: Iterable[Column]) -> None:
        added = []
        for column in columns:
            about = (
                f" OPTIONS (description = {self.literal(column.description)})"
                if column.description
                else ""
            )
            added.append(
                f"ADD COLUMN IF NOT EXISTS {self.quote(column.name)} {self.type_names[column.kind]}{about}"
            )
        self.run(f"ALTER TABLE {self.table} {', '.join(added)}")

    def _fields(self, columns: Iterable[Column], required: Sequence[str]) -> list[Any]:
        from google.cloud import bigquery

        return [
            bigquery.SchemaField(
                column.name,
                self.type_names[column.kind],
                mode="REQUIRED" if column.name in required else "NULLABLE",
                description=column.description or None,
            )
            for column in columns
        ]

    # Errors

    def is_already_there(self, error: Exception) -> bool:
        return getattr(error, "code", None) == 409 and _reason(error) == "duplicate"

    def is_conflict(self, error: Exception) -> bool:
        return _CONFLICT.search(_message(error)) is not None

    def explain(self, error: Exception) -> We360Error:
        """A load job quotes the values that it does not take, so that BigQuery's own words are never shown."""
        from google.api_core.exceptions import RetryError
        from google.auth.exceptions import GoogleAuthError

        reason, text, code = _reason(error), _message(error), getattr(error, "code", None)
        if isinstance(error, GoogleAuthError):
            return SinkError(
                f"sql_conn_id: Google does not take the credentials of {self.target.conn_id!r}; check its key file, or the "
                "account of this machine, and its impersonation chain"
            )
        if self.is_conflict(error):
            return SinkBusy(
                f"table: another job changed {self.target} meanwhile; nothing was changed. Run the task again"
            )
        if _BILLING.search(text) or reason == "billingNotEnabled":
            return We360ConfigError(
                "sql_conn_id: the project has no billing account, and without one (the sandbox) BigQuery takes no DML; enable "
                "billing for the project in which jobs run"
            )
        if match := _NO_VALUE.search(text):
            return refusals.no_value(self.target, match[1] or match[2])
        if reason in (
            "quotaExceeded",
            "rateLimitExceeded",
            "resourcesExceeded",
            "responseTooLarge",
        ):
            return SinkBusy(
                f"BigQuery's quota is used up ({reason}); nothing was changed. Run the task again later, or raise it"
            )
        if reason == "stopped":
            return SinkError(
                f"a job of the load into {self.target} was cancelled; nothing was changed. Run the task again"
            )
        if code in (401, 403):
            return self._forbidden()
        if code == 404 and self._place is None:
            return We360ConfigError(
                f"table: the dataset of {self.target} is not there, or may not be seen; create it first, with CREATE SCHEMA, "
                "in the region where rows shall lie"
            )
        if isinstance(error, (OSError, RetryError)):
            return refusals.lost(self.target, "BigQuery", at_commit=self.is_committing)
        told = f"{type(error).__name__}, {reason}" if reason else type(error).__name__
        return SinkError(
            f"BigQuery refused the load into {self.target} ({told}); nothing was changed. The job's error in the project "
            "history says more"
        )

    def _forbidden(self) -> We360ConfigError:
        return We360ConfigError(
            f"sql_conn_id: the account of {self.target.conn_id!r} may not do what a load into {self.target} needs; nothing was "
            "changed. Grant it roles/bigquery.jobUser on the project and roles/bigquery.dataEditor on the dataset"
        )


def _client_of(target: Target) -> Any:
    """A client of Google's, for the project that the Connection names."""
    hook = target.hook
    return hook.get_client(project_id=hook.project_id, location=hook.location or None)


def _dataset_of(target: Target, project: str) -> tuple[str, str]:
    """Project and dataset of the table: as its name says, else as the Connection's own settings of queries do.

    :raises We360ConfigError: where neither names a dataset.
    """
    if target.table.schema is not None:
        return target.table.database or project, target.table.schema
    configs = target.hook.api_resource_configs or {}
    if isinstance(configs, str):  # as the form of the Connection keeps it
        configs = json.loads(configs)
    default = configs.get("query", {}).get("defaultDataset", {})
    if not default.get("datasetId"):
        raise We360ConfigError(
            f"table: {target} names no dataset; write dataset.table, or set query.defaultDataset in api_resource_configs of "
            f"Connection {target.conn_id!r}"
        )
    return default.get("projectId") or project, default["datasetId"]


def _parameter_type(value: object) -> str:
    if isinstance(value, dt.datetime):
        return "TIMESTAMP" if value.tzinfo else "DATETIME"
    if isinstance(value, dt.date):
        return "DATE"
    return "INT64" if isinstance(value, int) else "STRING"


def _reason(error: Exception) -> str:
    """BigQuery's one word for what went wrong; empty where it is not BigQuery that speaks."""
    told = getattr(error, "errors", None) or [{}]
    first = told[0]
    return re.sub(r"\W", "", str(first.get("reason", "")))[:40] if isinstance(first, dict) else ""


def _message(error: Exception) -> str:
    return str(getattr(error, "message", ""))


WAREHOUSE = BigQueryWarehouse
