"""A person sets up a Connection in Airflow's UI: what the form shows, and what *Test Connection* answers in each state."""

from __future__ import annotations

import datetime as dt
import json
import socket
import zoneinfo
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from browser.pages import ELSEWHERE, EXTRA, STANDARD, Verdict
from support.tls_server import https_server

pytestmark = pytest.mark.browser


@pytest.fixture
def form(pages):
    form = pages.add_connection()
    form.choose_type("We360")
    return form


@pytest.fixture
def tested(form, pages, sandbox, we360, request) -> Callable[..., Verdict]:
    """Saves a Connection to the sandbox with these changes, by the form, and presses *Test Connection*."""
    conn_id = request.node.name.removeprefix("test_")

    def run(
        *,
        login: str = "",
        password: str = "",
        host: str = "http://127.0.0.1",
        port: str | None = None,
        **extra: str,
    ):
        served = urlsplit(we360)
        standard = {
            "API URL": host,
            "E-mail": login or sandbox.config.login,
            "Password": password or sandbox.config.password,
            "Port": str(served.port) if port is None else port,
        }
        form.name(conn_id)
        form.fill(
            standard,
            {"customer_id": extra.pop("customer_id", sandbox.config.customer_id)},
            {"auth_url": we360, "allow_http": True} | extra,
        )
        form.save()
        return pages.test_connection(conn_id)

    return run


def test_the_standard_fields_have_our_labels_and_placeholders(form, picture):
    assert {field.label: field.placeholder for field in form.fields(STANDARD)} == {
        "Description": "",
        "API URL": "default: https://api.in.we360.ai",
        "E-mail": "airflow@your-company.example",
        "Password": "the account's password",
        "Port": "443 (Test Connection of Airflow 3.3.1 and 3.3.2 needs it)",
    }
    form.name("we360_default")
    form.fill(
        {"E-mail": "airflow@your-company.example", "Password": "not shown", "Port": "443"},
        {"customer_id": "your-company"},
        {},
    )
    form.open(STANDARD)
    picture("connection-form", form.dialog)


def test_our_fields_have_help_and_the_required_one_is_first(form, picture):
    account, network = form.fields(EXTRA), form.fields(ELSEWHERE)
    assert [field.label for field in account] == [
        "Customer ID",
        "Time zone",
        "Token cache",
        "Time-out, seconds",
    ]
    assert [field.label for field in network] == [
        "Login server",
        "Realm",
        "CA bundle",
        "Proxy",
        "Allow http://",
    ]
    assert [field.label for field in account + network if not field.help] == []
    assert [field.label for field in account + network if field.required] == ["Customer ID"]
    assert "under the profile icon" in account[0].help
    form.name("we360_default")
    form.fill({}, {"customer_id": "your-company"}, {})
    picture("connection-form-extra", form.dialog)


def test_a_form_without_a_customer_id_cannot_be_saved(form):
    from playwright.sync_api import expect

    form.name("without_customer_id")
    form.fill({"E-mail": "airflow@your-company.example", "Password": "not shown"}, {}, {})
    expect(form.save_button).to_be_disabled()
    assert "This field is required" in form.open(EXTRA).inner_text()
    form.fill({}, {"customer_id": "your-company"}, {})
    expect(form.save_button).to_be_enabled()


def test_no_field_offers_the_word_null(form):
    form.open(EXTRA).get_by_role("combobox", name="Token cache").click()
    offered = [
        option.inner_text().partition(":")[0]
        for option in form.dialog.page.get_by_role("option").all()
    ]
    assert offered == ["variable", "xcom", "memory"]
    assert "null" not in form.open(EXTRA).inner_text()


def test_what_was_entered_is_what_airflow_keeps(form, airflow):
    form.name("kept")
    form.fill(
        {"E-mail": "a@b.example", "Password": "not shown", "Port": "443"},
        {"customer_id": "acme", "timezone": "Asia/Dubai", "timeout_s": "30"},
        {"realm": "other-prod"},
    )
    form.save()
    kept = airflow.ask("GET", "connections/kept")
    assert (kept["conn_type"], kept["login"], kept["port"]) == ("we360", "a@b.example", 443)
    given = {
        name: value
        for name, value in json.loads(kept["extra"]).items()
        if value not in (None, False)
    }
    assert given == {
        "customer_id": "acme",
        "timezone": "Asia/Dubai",
        "timeout_s": 30,
        "realm": "other-prod",
    }


def test_an_edit_keeps_what_airflow_shows_as_stars(pages, airflow):
    extra = {
        "customer_id": "acme",
        "timezone": "Asia/Tokyo",
        "token_cache": "memory",
        "proxy": "http://proxy.example:3128",
    }
    connection = {
        "connection_id": "edited",
        "conn_type": "we360",
        "login": "a@b.example",
        "password": "not shown",
    }
    airflow.ask("POST", "connections", connection | {"extra": json.dumps(extra)})
    form = pages.edit_connection("edited")
    form.fill({}, {"timezone": "Asia/Dubai"}, {})
    form.save()
    airflow.run("connections", "export", str(airflow.home / "exported.json"))
    kept = json.loads((airflow.home / "exported.json").read_text())["edited"]
    assert kept["password"] == "not shown"
    assert {name: value for name, value in _dict(kept["extra"]).items() if value} == extra | {
        "timezone": "Asia/Dubai"
    }


def _dict(extra: Any) -> dict[str, Any]:
    return json.loads(extra) if isinstance(extra, str) else extra


def test_right(tested, pages, sandbox, picture):
    verdict = tested()
    assert verdict.title == "Test Connection Successful"
    yesterday = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date() - dt.timedelta(days=1)
    if sandbox.company.rows(yesterday, yesterday, "detailed"):
        assert (
            verdict.words == "Logged in to acme-demo; the Dynamic Report has rows for this account."
        )
    else:  # a day off for all
        assert verdict.words.startswith("Logged in to acme-demo, but the Dynamic Report of")
    assert sum(sandbox.request_log.live_sessions().values()) == 0
    picture("test-right", verdict.shown)


def test_right_but_its_role_sees_nobody(tested, blind):
    verdict = tested(login=blind.login, password=blind.password)
    assert verdict.title == "Test Connection Successful"
    assert "the account's role in We360 sees no one" in verdict.words


def test_wrong_password(tested, sandbox, picture):
    verdict = tested(password="wrong-Passw0rd-55")
    assert verdict.title == "Test Connection Failed"
    assert "E-mail (login) or Password of the Connection is wrong" in verdict.words
    assert "Try them in a browser first: each try counts" in verdict.words
    assert "wrong-Passw0rd-55" not in verdict.words
    assert sandbox.request_log.counts["logins_refused"] == 1
    picture("test-wrong-password", verdict.shown)


def test_wrong_customer_id(tested, picture):
    verdict = tested(customer_id="acme-dmeo")
    assert verdict.title == "Test Connection Failed"
    assert "check Customer ID (extra customer_id)" in verdict.words
    assert "under the profile icon, top right" in verdict.words
    picture("test-wrong-customer-id", verdict.shown)


def test_host_that_nobody_knows_names_both_hosts_to_allow(tested, we360, picture):
    verdict = tested(
        host="https://api.we360.invalid", port="443", auth_url="https://auth.we360.invalid"
    )
    assert verdict.title == "Test Connection Failed"
    assert verdict.words == (
        "https://api.we360.invalid: cannot connect, the name api.we360.invalid has no address here; "
        "check its spelling in the Connection, this machine's DNS, and that your firewall allows "
        "api.we360.invalid:443 and auth.we360.invalid:443"
    )
    picture("test-host-not-reachable", verdict.shown)


def test_port_that_nobody_serves_names_the_host_to_allow(tested, we360):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    verdict = tested(port=str(port))
    assert verdict.title == "Test Connection Failed"
    assert f"your firewall allows 127.0.0.1:{port} and {urlsplit(we360).netloc}" in verdict.words


def test_an_untrusted_certificate_points_to_the_ca_bundle_field(tested, tmp_path, picture):
    with https_server(tmp_path) as (url, _):
        verdict = tested(host="https://127.0.0.1", port=str(urlsplit(url).port))
    assert verdict.title == "Test Connection Failed"
    assert "its TLS certificate is not trusted" in verdict.words
    assert "set CA bundle (extra ca_bundle)" in verdict.words
    picture("test-tls-not-trusted", verdict.shown)


def test_a_wrong_field_is_named_without_airflows_copy_id(tested):
    verdict = tested(realm="no realm")
    assert verdict.title == "Test Connection Failed"
    assert verdict.words.startswith("Realm (extra realm) must be the name of a realm")


def test_airflow_refuses_to_test_a_form_without_a_port(tested):
    """Airflow 3.3.1 and 3.3.2 (apache/airflow#73298). Once this fails, placeholder and documentation can forget the Port."""
    import airflow

    assert airflow.__version__ in ("3.3.1", "3.3.2")
    verdict = tested(host="https://api.we360.invalid", port="")
    assert (verdict.title, verdict.words) == ("Test Connection Failed", "Bad Request")
