"""A session of BigQuery: each statement is a job of Google's client."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.sinks.dialect import Dialect
from airflow_provider_we360.sinks.session import DbSession, DriverErrors, driver_calls
from airflow_provider_we360.sinks.target import TableName, TableRef, Target


class BigQuerySession(DbSession):
    """A session of BigQuery, in which each statement is a job.

    :ivar dataset: the dataset of the target; the staging table is created there.
    """

    def __init__(
        self,
        target: Target,
        client: Any,
        dataset: Any,
        *,
        location: str,
        dialect: Dialect,
        errors: DriverErrors,
    ) -> None:
        super().__init__(target, client, None, dialect, errors)
        self.dataset = dataset
        self.location = location
        self.session_id: str | None = None
        self.staging_name = self.new_staging().strip("`")
        self.job: Any = None

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement and return the number of changed rows."""
        with driver_calls(self.errors, sql.partition(" ")[0]):
            self._run(sql, parameters)
            return int(self.job.num_dml_affected_rows or 0)

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a query and return all its rows."""
        with driver_calls(self.errors, "SELECT"):
            return [tuple(row.values()) for row in self._run(sql, parameters)]

    def _run(self, sql: str, parameters: Sequence[object]) -> Any:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            use_legacy_sql=False,
            use_query_cache=False,
            query_parameters=[
                bigquery.ScalarQueryParameter(None, _parameter_type(value), value)
                for value in parameters
            ],
            connection_properties=[bigquery.ConnectionProperty("session_id", self.session_id)],
        )
        # The client retries no job: a failure may have ended the transaction, and the next
        # statement would commit by itself.
        self.job = self.connection.query(
            sql, job_config=config, location=self.location, job_retry=None
        )
        return self.job.result(job_retry=None)

    def open(self) -> None:
        """Create the session on the server."""
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(create_session=True, use_legacy_sql=False)
        with driver_calls(self.errors, "SELECT"):
            job = self.connection.query(
                "SELECT 1", job_config=config, location=self.location, job_retry=None
            )
            job.result(job_retry=None)
        self.session_id = job.session_info.session_id

    def close(self) -> None:
        """End the session and drop the staging table.

        Whatever fails here ends by itself: an idle session after a day, the staging table after
        its hours.
        """
        if self.session_id is not None:
            with suppress(Exception):
                self._run("CALL BQ.ABORT_SESSION()", ())
        with suppress(Exception):
            self.connection.delete_table(self.dataset.table(self.staging_name), not_found_ok=True)

    def begin(self) -> None:
        """Begin a transaction; BEGIN alone can be read as the start of a block."""
        self.execute("BEGIN TRANSACTION")

    def resolve(self, name: TableName) -> TableRef:
        """Return the table with its project and dataset."""
        dataset = find_dataset(self.target, name, self.connection.project)
        return self.table_ref(name, (*dataset, name.table))

    def cancel(self) -> None:
        """Cancel the running job."""
        if self.job is not None:
            with suppress(Exception):
                self.job.cancel()


def find_dataset(target: Target, name: TableName, project: str) -> tuple[str, str]:
    """Return project and dataset: from the table's name, else from the Connection's settings.

    :raises We360ConfigError: if neither names a dataset.
    """
    if name.schema is not None:
        return name.database or project, name.schema
    configs = target.hook.api_resource_configs or {}
    if isinstance(configs, str):  # as the Connection form stores it
        configs = json.loads(configs)
    default = configs.get("query", {}).get("defaultDataset", {})
    if not default.get("datasetId"):
        raise We360ConfigError(
            f"table: {name} names no dataset; write dataset.table, or set query.defaultDataset in "
            f"api_resource_configs of Connection {target.conn_id!r}"
        )
    return default.get("projectId") or project, default["datasetId"]


def _parameter_type(value: object) -> str:
    if isinstance(value, dt.datetime):
        return "TIMESTAMP" if value.tzinfo else "DATETIME"
    if isinstance(value, dt.date):
        return "DATE"
    return "INT64" if isinstance(value, int) else "STRING"
