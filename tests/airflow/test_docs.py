"""What README and documentation show is run: Dags load, commands do, settings are read. What is not run is listed here."""

from __future__ import annotations

import configparser
import contextlib
import datetime as dt
import json
import re
import textwrap
import tomllib
from collections import defaultdict
from typing import Any

import duckdb
import pytest
import yaml  # type: ignore[import-untyped]
from airflow.models.connection import Connection
from airflow.utils.session import create_session

from airflow_provider_we360.connection import parse_connection
from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
from support import commands, shell
from support.dag_runs import run_here, woken_by
from support.documents import ROOT, all_blocks, blocks, name, pages, spoken
from support.lakes import needs_catalog

NOT_RUN = [
    "docs/how-to/add-a-report.md: tests/support/report_example.py adds the file and loads the report",
    "docs/how-to/deploy.md: gcloud is not installed",
    "docs/how-to/redshift.md: the stand-in of Redshift knows no rights",
    "docs/how-to/snowflake.md: the stand-in of Snowflake knows no rights",
    "docs/quickstart.md: its Dag is a file of step 4; tests/e2e/test_quickstart.py runs the page",
    "docs/quickstart.md: its files come from earlier steps; tests/e2e/test_quickstart.py runs the page",
]
"""Every block that a comment before it takes out, and why. A new one is added here, so that it is seen."""

SQL_IS_RUN_BY = {
    "docs/explanation/security.md": "tests/airflow/test_docs.py",
    "docs/how-to/move-from-a-script.md": "tests/airflow/test_move_from_a_script.py",
    "docs/how-to/mysql.md": "tests/contract/test_docs_sql.py",
    "docs/how-to/postgres.md": "tests/contract/test_docs_sql.py",
    "docs/how-to/privacy.md": "tests/contract/test_docs_sql.py",
    "docs/how-to/query-the-table.md": "tests/contract/test_docs_sql.py",
    "docs/quickstart.md": "tests/e2e/test_quickstart.py",
}

A_DAG_FILE = re.compile(r"\bDAG\(|@dag\b|\bWe360\w+(Operator|Sensor)\b")
KNOWN_TO_A_FRAGMENT = """\
import datetime as dt
import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task
from airflow_provider_we360.operators.session import We360LoginOperator, We360LogoutOperator
from airflow_provider_we360.sensors.report import We360ReportSensor
from airflow_provider_we360.transfers.we360_to_lakehouse import We360ToLakehouseOperator
from airflow_provider_we360.transfers.we360_to_object_storage import We360ToObjectStorageOperator
from airflow_provider_we360.transfers.we360_to_sql import We360ToSqlOperator
"""
"""A block without an import is part of a Dag file, whose imports the page has shown before."""


MET_FIRST = ("README.md", "docs/quickstart.md")
"""Pages that make test runs; make test-all runs the others."""


def long_but(page):
    if page == "docs/how-to/iceberg.md":
        return (pytest.mark.long, needs_catalog)
    return () if page in MET_FIRST else pytest.mark.long


def pages_with(*languages):
    return [page for page in pages() if blocks(*languages, of=[page])]


def commands_shown():
    found = blocks("console", "bash")
    return [pytest.param(block, marks=long_but(block.page), id=str(block)) for block in found]


@pytest.fixture(autouse=True)
def own_airflow(airflow_db):
    """Takes out of Airflow's database what a page's commands put there."""
    from airflow.models.pool import Pool
    from airflow.models.variable import Variable

    def emptied():
        with create_session() as session:
            for model in (Connection, Variable):
                session.query(model).delete()
            session.query(Pool).filter(Pool.pool != Pool.DEFAULT_POOL_NAME).delete()

    emptied()
    yield
    emptied()


@pytest.fixture
def warehouse(tmp_path, monkeypatch):
    """The Connection ``warehouse`` that the pages speak of, with a schema ``hr``, and others that they take as given."""
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as database:
        database.execute("CREATE SCHEMA hr")
    given = {
        "WAREHOUSE": {"conn_type": "duckdb", "host": str(path)},
        "WE360_PSEUDONYMS": {
            "conn_type": "generic",
            "password": commands.ENVIRONMENT["KEY"],
            "extra": {"version": "v1"},
        },
        "AWS_DEFAULT": {"conn_type": "aws"},
        "CATALOG": {
            "conn_type": "iceberg",
            "extra": {
                "type": "sql",
                "uri": f"sqlite:///{tmp_path}/catalog.sqlite",
                "warehouse": f"file://{tmp_path}/lake",
            },
        },
    }
    for conn_id, fields in given.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id}", json.dumps(fields))
    return path


@pytest.fixture
def run_page(warehouse, tmp_path):
    """Runs the Python of a page in order, as a reader would: yields each Dag with its run."""

    def run(page):
        known = {}
        events = asset_events()
        for number, block in enumerate(blocks("python", of=[page])):
            text = block.text.replace("s3://company-data", f"file://{tmp_path}/bucket")
            if not A_DAG_FILE.search(text):
                exec(compile(text, str(block), "exec"), known)
                continue
            for dag in dags_of(text, tmp_path / f"dags_{number}", block):
                with (
                    woken_by(sorted(asset_events() - events))
                    if woken_by_assets(dag)
                    else contextlib.nullcontext()
                ):
                    dag_run = run_here(dag)
                states = {str(ti.state) for ti in dag_run.get_task_instances()}
                assert states == {"success"}, f"{block}, Dag {dag.dag_id}: {states}"
                yield dag, dag_run

    return run


def asset_events():
    from airflow.models.asset import AssetEvent

    with create_session() as session:
        return {number for (number,) in session.query(AssetEvent.id)}


def woken_by_assets(dag):
    return type(dag.timetable).__name__ == "AssetTriggeredTimetable"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=long_but(name(page)), id=name(page))
        for page in pages_with("python")
    ],
)
def test_the_python_of_a_page_runs_in_order_and_loads_the_truth(page, run_page, sandbox, warehouse):
    days = defaultdict(set)
    for dag, run in run_page(page):
        for place, loaded in loaded_days(dag, run):
            days[place] |= loaded
        for place in days:
            assert_truth(place, days[place], sandbox, warehouse)


@pytest.mark.usefixtures("sandbox")
def test_a_downstream_dag_learns_the_days_from_the_event(run_page):
    (_, load), (_, follower) = run_page(ROOT / "docs" / "how-to" / "downstream.md")
    (ti,) = load.get_task_instances()
    (next_ti,) = follower.get_task_instances()
    assert (
        next_ti.xcom_pull(task_ids=next_ti.task_id) == ti.xcom_pull(task_ids=ti.task_id)["window"]
    )


@pytest.mark.usefixtures("sandbox")
def test_a_load_returns_what_the_reference_says_and_nothing_else(run_page):
    page = (ROOT / "docs" / "reference" / "operators.md").read_text()
    section = page.partition("### What it returns")[2].partition("###")[0]
    ((_, run),) = run_page(ROOT / "README.md")
    (ti,) = run.get_task_instances()
    assert sorted(ti.xcom_pull(task_ids=ti.task_id)) == sorted(
        re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    )


def dags_of(text, folder, block):
    """The Dags of a block, which Airflow reads from a file."""
    from airflow.dag_processing.dagbag import DagBag

    if not re.search(r"\bDAG\(|@dag\b", text):
        text = f'with DAG("fragment_{block.line}", schedule=None):\n{textwrap.indent(text, "    ")}'
    if not re.search(r"^(import|from) ", text, re.MULTILINE):
        text = KNOWN_TO_A_FRAGMENT + text
    folder.mkdir()
    (folder / "block.py").write_text(text)
    bag = DagBag(dag_folder=str(folder))
    assert bag.import_errors == {}, f"{block}: {bag.import_errors}"
    assert bag.dags, f"{block}: no Dag"
    return list(bag.dags.values())


def loaded_days(dag, run):
    """Each table, or folder, that a load of the run names, and the days that it reports."""
    for ti in run.get_task_instances():
        task = dag.get_task(ti.task_id)
        operator: Any = getattr(task, "operator_class", type(task))
        readers = {
            We360ToSqlOperator: lambda told: told["table"],
            We360ToObjectStorageOperator: lambda told: f"'{told['path']}/*/*.parquet'".replace(
                "file://", ""
            ),
            We360ToLakehouseOperator: lambda told: files_of_lake(told["table"]),
        }
        if operator not in readers:
            continue
        told = ti.xcom_pull(task_ids=ti.task_id, map_indexes=ti.map_index)
        windows = [map(dt.date.fromisoformat, one) for one in all_windows(told)]
        yield (
            readers[operator](told),
            {
                first + dt.timedelta(days=number)
                for first, last in windows
                for number in range((last - first).days + 1)
            },
        )


def all_windows(told):
    """The windows of a result: the run's own, and those that it caught up."""
    return [told["window"], *told.get("caught_up", ())]


def files_of_lake(table):
    """The files of the newest version, as DuckDB reads them."""
    if "/" in table:
        from deltalake import DeltaTable

        files = DeltaTable(table).file_uris()
    else:
        from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook

        found = IcebergHook("catalog").load_table(table).scan().plan_files()
        files = [one.file.file_path for one in found]
    named = [file.removeprefix("file://") for file in files]
    return f"read_parquet({named}, hive_partitioning = {'/' in table})"


def assert_truth(place, loaded, sandbox, warehouse):
    """It holds these days, all rows of them, and nothing else."""
    with duckdb.connect(str(warehouse)) as database:
        found = database.execute(f"SELECT attendance_date, online_duration FROM {place}").fetchall()
    truth = sandbox.company.rows(min(loaded), max(loaded), "detailed")
    expected = [
        (row["attendance_date"], row["online_duration"])
        for row in truth
        if row["attendance_date"] in loaded
    ]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert found or len(loaded) == 1, "a week holds work; a single day may be one off"


GIVEN = {
    "docs/how-to/rotate-the-password.md": [
        "connections",
        "add",
        "we360_default",
        "--conn-uri",
        "we360://of:before@/",
    ],
    "docs/how-to/upgrade.md": [
        "connections",
        "add",
        "we360_default",
        "--conn-uri",
        "we360://of:before@/?customer_id=x",
    ],
    "docs/explanation/security.md": ["variables", "set", "we360_token__0123456789ab", "{}"],
}
"""What is there before a page's commands are run."""


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("block", commands_shown())
def test_every_command_runs_and_its_connections_are_valid(block, example):
    if block.page in GIVEN:
        commands.airflow(GIVEN[block.page])
    script = block.commands if block.language == "console" else block.text
    assert script.strip(), f"{block}: commands of a console block begin with $"
    if "airflow dags trigger we360_to_duckdb" in script:
        example("we360_to_duckdb")
    ran = shell.run(script, commands.answer, commands.COMMANDS, commands.ENVIRONMENT)
    with create_session() as session:
        made = list(session.query(Connection))
        session.expunge_all()
    for key, value in ran.environment.items():
        if key.startswith("AIRFLOW_CONN_"):
            made.append(
                Connection.from_json(value, key)
                if value.startswith("{")
                else Connection(key, uri=value)
            )
    for connection in made:
        assert connection.extra is None or isinstance(json.loads(connection.extra), dict)
        if connection.conn_type == "we360":
            parse_connection(connection)


@pytest.mark.parametrize(
    ("page", "command"),
    [
        pytest.param(page, words, id=f"{name(page)}: {words[:40]}")
        for page in pages()
        for words in spoken(page)
        if re.match(r"(airflow|make|pip install|python -[cm]) ", words)
    ],
)
def test_every_command_in_prose_is_there(page, command):
    code, told = commands.is_known(command)
    assert code == 0, f"{name(page)}: {command}\n{told}"


def _ini(text):
    configparser.ConfigParser().read_string(text)


READ = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads, "ini": _ini}


@pytest.mark.parametrize("block", blocks(*READ), ids=str)
def test_every_block_of_settings_can_be_read(block):
    read = READ[block.language](block.text)
    if isinstance(read, dict) and read.get("conn_type") == "we360":
        parse_connection(Connection.from_json(json.dumps(read), "shown"))


@pytest.mark.parametrize(
    "block", blocks("sql", of=[ROOT / "docs/explanation/security.md"]), ids=str
)
def test_the_security_queries_on_airflows_database_work(block):
    commands.airflow(
        ["connections", "add", "we360_default", "--conn-uri", "we360://one:secret@/?customer_id=x"]
    )
    answers = []
    with create_session() as session:
        for statement in re.sub(r"(?m)^--.*$", "", block.text).split(";"):
            if statement.strip():
                answers.append(session.connection().exec_driver_sql(statement).fetchall())
    ((_, *encrypted, password),) = answers[1]
    assert (encrypted, password[:5]) == ([1, 1], "gAAAA")


def test_every_sql_block_is_run_by_the_test_that_is_named_here():
    assert {name(page) for page in pages_with("sql")} == set(SQL_IS_RUN_BY)
    for page, test in SQL_IS_RUN_BY.items():
        assert page.removeprefix("docs/") in (ROOT / test).read_text()


def test_no_block_is_of_a_language_that_nothing_runs():
    run = {"python", "console", "bash", "sql", *READ}
    others = {block.language for block in all_blocks() if not block.language.startswith("{")} - run
    assert others == {"text"}


@pytest.mark.parametrize("block", blocks("text"), ids=str)
def test_a_block_of_text_hides_no_command(block):
    assert re.findall(r"^(?:\$ .*|(?:airflow|make|pip|python) .*)", block.text, re.MULTILINE) == []


def test_what_is_not_run_says_why_and_is_listed_here():
    assert [f"{block.page}: {block.reason}" for block in all_blocks() if block.reason] == NOT_RUN
