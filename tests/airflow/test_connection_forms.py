"""One Connection in every form that Airflow knows: each says the same, and each logs in."""

from __future__ import annotations

import dataclasses
import json
import shutil

import certifi
import pytest
from airflow.models.connection import Connection
from airflow.providers.common.compat.sdk import Connection as TaskConnection
from airflow.secrets.local_filesystem import LocalFilesystemBackend
from airflow.utils.session import create_session

from airflow_provider_we360.connection import DEFAULT_AUTH_URL, EXTRAS, parse_connection
from airflow_provider_we360.hooks.we360 import We360Hook
from simulator.app import Simulator, SimulatorConfig
from simulator.server import serve
from support import commands, shell
from support.documents import ROOT, Block, blocks

PASSWORD = """ p@ss/wörd: 50%?&+=#[]{}<>|~^`;,!"'\\$HOME पासवर्ड """
LOGIN = "asha.o'neil+airflow@your-company.example"
CUSTOMER = "your-company_7/e+%"

pytestmark = pytest.mark.usefixtures("airflow_db")


@pytest.fixture(autouse=True)
def no_connections():
    """Leaves Airflow's database without the Connections that a test adds."""

    def emptied():
        with create_session() as session:
            session.query(Connection).delete()

    emptied()
    yield
    emptied()


@pytest.fixture
def server():
    """A sandbox with an account whose e-mail and password have to be quoted everywhere."""
    config = SimulatorConfig(
        employees=3, customer_id=CUSTOMER, login=LOGIN, password=PASSWORD, realm="other-prod"
    )
    app = Simulator(config)
    with serve(app) as running:
        yield app, running.url


@pytest.fixture
def full(server, tmp_path):
    """All fields; the one that plain http forbids is in ``beside_http``."""
    ca_bundle = tmp_path / "ca's bundle.pem"
    shutil.copy(certifi.where(), ca_bundle)
    _, url = server
    host, _, port = url.rpartition(":")
    extra = {
        "customer_id": CUSTOMER,
        "auth_url": url,
        "realm": "other-prod",
        "token_cache": "memory",
        "timezone": "Asia/Dubai",
        "timeout_s": 12.5,
        "ca_bundle": str(ca_bundle),
        "allow_http": True,
    }
    assert {*extra, "proxy"} == set(EXTRAS)
    return {
        "conn_type": "we360",
        "host": host,
        "port": int(port),
        "login": LOGIN,
        "password": PASSWORD,
        "extra": extra,
    }


def behind_a_proxy(fields):
    """The same, but for another deployment over https, reached by a proxy that has a password."""
    extra = {name: value for name, value in fields["extra"].items() if name != "allow_http"}
    extra |= {
        "auth_url": "https://auth.other.example/sso",
        "proxy": "http://us%40er:p%2Fw@proxy.your-company.example:3128",
    }
    return fields | {"host": "https://api.other.example", "port": 8443, "extra": extra}


def made(fields):
    return Connection(conn_id="made", **fields | {"extra": json.dumps(fields["extra"])})


def airflow(*words):
    code, told = commands.airflow(list(words))
    assert code == 0, told
    return told


def by_uri(fields, monkeypatch, tmp_path):
    return Connection(conn_id="x", uri=made(fields).get_uri())


def by_uri_of_a_task(fields, monkeypatch, tmp_path):
    """In Airflow 3 a task has another class of Connection."""
    monkeypatch.setenv(
        "AIRFLOW_CONN_X",
        TaskConnection(conn_id="x", **fields | {"extra": json.dumps(fields["extra"])}).get_uri(),
    )


def by_json(fields, monkeypatch, tmp_path):
    return Connection.from_json(made(fields).as_json(), conn_id="x")


def by_uri_in_the_environment(fields, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_X", made(fields).get_uri())


def by_json_in_the_environment(fields, monkeypatch, tmp_path):
    monkeypatch.setenv("AIRFLOW_CONN_X", json.dumps(fields))


def by_text_in_the_environment(fields, monkeypatch, tmp_path):
    """As a URI written by hand has them: every extra is text."""
    fields = fields | {"extra": {name: str(value) for name, value in fields["extra"].items()}}
    uri = made(fields).get_uri()
    assert "__extra__" not in uri
    monkeypatch.setenv("AIRFLOW_CONN_X", uri)


def by_cli_uri(fields, monkeypatch, tmp_path):
    airflow("connections", "add", "x", "--conn-uri", made(fields).get_uri())


def by_cli_json(fields, monkeypatch, tmp_path):
    airflow("connections", "add", "x", "--conn-json", json.dumps(fields))


def by_cli_fields(fields, monkeypatch, tmp_path):
    one_by_one = {
        f"--conn-{name.removeprefix('conn_')}": value
        for name, value in fields.items()
        if name != "extra"
    }
    words = [f"{flag}={value}" for flag, value in one_by_one.items()]
    airflow("connections", "add", "x", *words, "--conn-extra", json.dumps(fields["extra"]))


def exported(suffix):
    """To a file and back."""

    def form(fields, monkeypatch, tmp_path):
        path = str(tmp_path / f"connections{suffix}")
        by_cli_fields(fields, monkeypatch, tmp_path)
        airflow("connections", "export", path)
        airflow("connections", "delete", "x")
        airflow("connections", "import", path)

    form.__name__ = f"exported_{suffix}"
    return form


def exported_as_json_for_the_environment(fields, monkeypatch, tmp_path):
    """Airflow imports no such file, but it is what an environment wants."""
    path = tmp_path / "connections.env"
    by_cli_fields(fields, monkeypatch, tmp_path)
    airflow("connections", "export", str(path), "--serialization-format", "json")
    airflow("connections", "delete", "x")
    name, _, value = path.read_text().strip().partition("=")
    assert name == "x"
    monkeypatch.setenv("AIRFLOW_CONN_X", value)


def in_a_secrets_file(suffix):
    """As Airflow's own secrets backend of a local file reads it."""

    def form(fields, monkeypatch, tmp_path):
        path = tmp_path / f"connections{suffix}"
        path.write_text(
            json.dumps({"x": fields}) if suffix == ".json" else f"x={made(fields).get_uri()}\n"
        )
        return LocalFilesystemBackend(connections_file_path=str(path)).get_connection("x")

    form.__name__ = f"secrets_{suffix}"
    return form


FORMS = [
    by_uri,
    by_uri_of_a_task,
    by_json,
    by_uri_in_the_environment,
    by_json_in_the_environment,
    by_text_in_the_environment,
    by_cli_uri,
    by_cli_json,
    by_cli_fields,
    exported(".json"),
    exported(".yaml"),
    exported(".env"),
    exported_as_json_for_the_environment,
    in_a_secrets_file(".json"),
    in_a_secrets_file(".env"),
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_field_comes_through_and_logs_in(form, full, server, monkeypatch, tmp_path):
    sandbox, _ = server
    meant = dataclasses.replace(parse_connection(made(full)), conn_id="x")
    read = form(full, monkeypatch, tmp_path) or Connection.get_connection_from_secrets("x")
    assert parse_connection(read) == meant
    monkeypatch.setenv("AIRFLOW_CONN_X", read.get_uri())
    worked, told = We360Hook("x").test_connection()
    assert worked, told
    assert CUSTOMER in told
    assert (sandbox.request_log.logins, sandbox.request_log.counts["logins_refused"]) == (1, 0)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_every_field_comes_through_where_a_proxy_is_between(form, full, monkeypatch, tmp_path):
    fields = behind_a_proxy(full)
    meant = dataclasses.replace(parse_connection(made(fields)), conn_id="x")
    assert meant.proxy == fields["extra"]["proxy"]
    assert (
        parse_connection(
            form(fields, monkeypatch, tmp_path) or Connection.get_connection_from_secrets("x")
        )
        == meant
    )


PAGE = ROOT / "docs" / "how-to" / "connection.md"
SHOWN = [
    block for block in blocks("console", "bash", of=[PAGE]) if "we360_default" in block.text.lower()
]


def shown(block: Block) -> Connection:
    """The Connection that a block of the page makes."""
    ran = shell.run(
        block.commands or block.text, commands.answer, commands.COMMANDS, commands.ENVIRONMENT
    )
    if value := ran.environment.get("AIRFLOW_CONN_WE360_DEFAULT"):
        is_json = value.lstrip().startswith("{")
        return (
            Connection.from_json(value, "we360_default")
            if is_json
            else Connection("we360_default", uri=value)
        )
    return Connection.get_connection_from_secrets("we360_default")


def test_the_page_shows_all_forms():
    text = "".join(block.text for block in SHOWN)
    for way in (
        "--conn-login",
        "--conn-json",
        "--conn-uri",
        "export AIRFLOW_CONN_WE360_DEFAULT='{",
        '="we360://',
    ):
        assert way in text, way


@pytest.mark.parametrize("block", SHOWN, ids=str)
def test_each_block_makes_the_same_connection_which_logs_in(block, monkeypatch):
    connection = shown(block)
    settings = parse_connection(connection)
    assert (settings.login, settings.password) == (
        "airflow@your-company.example",
        commands.ENVIRONMENT["PASSWORD"],
    )
    timeout_s = 120 if "timeout" in block.text else 60
    assert (settings.customer_id, settings.timeout_s) == ("your-company", timeout_s)
    assert str(settings.auth_url).rstrip("/") == DEFAULT_AUTH_URL
    config = SimulatorConfig(
        customer_id=settings.customer_id,
        login=settings.login,
        password=settings.password,
        employees=3,
    )
    with serve(Simulator(config)) as server:
        there = {
            "host": server.url,
            "extra": connection.extra_dejson | {"auth_url": server.url, "allow_http": "true"},
        }
        fields = {
            "conn_type": connection.conn_type,
            "login": connection.login,
            "password": connection.password,
        }
        monkeypatch.setenv("AIRFLOW_CONN_WE360_DEFAULT", json.dumps(fields | there))
        assert We360Hook("we360_default").test_connection()[0] is True


def test_what_the_page_exports_it_imports_again():
    (block,) = [block for block in blocks("console", of=[PAGE]) if "export" in block.text]
    meant = parse_connection(shown(SHOWN[0]))
    away = block.commands.replace("\n", "\nairflow connections delete we360_default\n", 1)
    ran = shell.run(away, commands.answer, commands.COMMANDS, commands.ENVIRONMENT)
    assert "Imported connection we360_default" in ran.output
    assert parse_connection(Connection.get_connection_from_secrets("we360_default")) == meant
