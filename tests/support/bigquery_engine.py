"""The stand-in for BigQuery as the suite speaks to it: Airflow's real hook, Google's real client, a server of ours."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, ClassVar

from support.engines import Engine

PROJECT, DATASET = "we360-tests", "hr"


class BigQueryEngine(Engine):
    conn_type: ClassVar[str] = "gcpbigquery"
    text = "STRING"
    enforces_keys: ClassVar[bool] = False
    cannot_play: ClassVar[frozenset[str]] = frozenset(  # there is no CHECK
        {
            "test_rows_that_the_target_refuses_take_the_whole_load_back",
            "test_a_value_too_large_for_its_column_is_not_shown",
        }
    )

    def __init__(self, url: str) -> None:
        self.url = url
        default = {"query": {"defaultDataset": {"projectId": PROJECT, "datasetId": DATASET}}}
        super().__init__(
            {
                "extra": {
                    "project": PROJECT,
                    "use_legacy_sql": False,
                    "api_resource_configs": default,
                }
            }
        )

    def hook(self) -> Any:
        return self.hook_with(lambda sql: None)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.google.cloud.hooks.bigquery import BigQueryHook
        from google.api_core.client_options import ClientOptions
        from google.auth.credentials import AnonymousCredentials

        engine = self

        class Here(BigQueryHook):
            """Nothing but who signs in, and where."""

            def get_credentials_and_project_id(self) -> tuple[Any, str]:
                return AnonymousCredentials(), PROJECT

            def get_client_options(self, api_endpoint_override: str | None = None) -> Any:
                return ClientOptions(api_endpoint=engine.url)

            def get_client(self, *args: Any, **kwargs: Any) -> Any:
                return _watched(super().get_client(*args, **kwargs), before)

        return Here(gcp_conn_id=self.conn_id)

    def _answer(self, statement: str) -> Any:
        import sqlglot
        from google.cloud import bigquery

        if "`" not in statement:  # the suite quotes names as the standard does
            statement = sqlglot.transpile(statement, read="duckdb", write="bigquery")[0].replace(
                "information_schema", "INFORMATION_SCHEMA"
            )
        config = bigquery.QueryJobConfig(
            use_legacy_sql=False, default_dataset=f"{PROJECT}.{DATASET}"
        )
        with closing(self.hook().get_client(project_id=PROJECT)) as client:
            return client.query(statement, job_config=config, job_retry=None).result(job_retry=None)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = []
        for statement in statements:
            answer = self._answer(statement)
            found = [tuple(row.values()) for row in answer]
        return found

    def column_names(self, table: str) -> list[str]:
        return [field.name for field in self._answer(f"SELECT * FROM {table} WHERE 1 = 0").schema]


def _watched(client: Any, before: Callable[[str], None]) -> Any:
    """The client, which tells what it is about to do, but for how it takes leave."""
    query, create_table, load = client.query, client.create_table, client.load_table_from_file

    def told_query(sql: str, *args: Any, **kwargs: Any) -> Any:
        if not sql.startswith("CALL"):
            before(sql)
        return query(sql, *args, **kwargs)

    def told_create(*args: Any, **kwargs: Any) -> Any:
        before("create table")
        return create_table(*args, **kwargs)

    def told_load(*args: Any, **kwargs: Any) -> Any:
        before("LOAD")
        return load(*args, **kwargs)

    client.query, client.create_table, client.load_table_from_file = (
        told_query,
        told_create,
        told_load,
    )
    return client
