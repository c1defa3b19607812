"""A Connection is parsed, not trusted."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from airflow_provider_we360.connection import TokenCache, parse_connection
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.redaction import foreign_text

PASSWORD = "s3cret-passw0rd"


def connection(**changes):
    extra = {"customer_id": "acme"} | changes.pop("extra", {})
    fields = {
        "conn_id": "we360_default",
        "host": None,
        "port": None,
        "schema": None,
        "login": "ops@acme.example",
        "password": PASSWORD,
        "extra": json.dumps({name: value for name, value in extra.items() if value is not None}),
    }
    return SimpleNamespace(**(fields | changes))


def test_three_fields_are_enough():
    settings = parse_connection(connection())
    assert str(settings.api_url) == "https://api.in.we360.ai/"
    assert (
        str(settings.token_url)
        == "https://auth.in.we360.ai/realms/ind-prod/protocol/openid-connect/token"
    )
    assert settings.token_cache is TokenCache.VARIABLE
    assert settings.timezone == "Asia/Kolkata"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"extra": {"customer_id": None}}, "customer_id"),
        ({"extra": {"customer_id": "two words"}}, "customer_id"),
        ({"extra": {"customer_id": "acme\r\nX-Evil: 1"}}, "customer_id"),
        ({"extra": {"customer_id": 12}}, "customer_id"),
        ({"login": ""}, "E-mail (login)"),
        ({"login": None}, "E-mail (login)"),
        ({"password": None}, "Password"),
        ({"host": "http://api.in.we360.ai"}, "API URL (host)"),
        ({"host": "http://localhost:8360"}, "API URL (host)"),
        (
            {"host": "http://localhost.evil.example", "extra": {"allow_http": True}},
            "API URL (host)",
        ),
        (
            {"host": "http://127.0.0.1.evil.example", "extra": {"allow_http": True}},
            "API URL (host)",
        ),
        ({"host": "http://10.0.0.1", "extra": {"allow_http": True}}, "API URL (host)"),
        ({"host": "https://api.in.we360.ai/query"}, "API URL (host)"),
        ({"host": "https://user:pw@api.in.we360.ai"}, "API URL (host)"),
        ({"host": "ftp://api.in.we360.ai"}, "API URL (host)"),
        ({"host": "https://"}, "API URL (host)"),
        ({"host": "https://api.in.we360.ai?x=1"}, "API URL (host)"),
        ({"host": "https://api.in.we360.ai:8443", "port": 443}, "Port"),
        ({"port": 99999}, "Port"),
        ({"schema": "https"}, "Schema"),
        ({"extra": {"auth_url": "http://auth.in.we360.ai"}}, "auth_url"),
        ({"extra": {"auth_url": "https://user:pw@auth.in.we360.ai"}}, "auth_url"),
        ({"extra": {"realm": "a/../b"}}, "realm"),
        ({"extra": {"token_cache": "redis"}}, "token_cache"),
        ({"extra": {"timezone": "Asia/Nowhere"}}, "timezone"),
        ({"extra": {"timeout_s": "soon"}}, "timeout_s"),
        ({"extra": {"timeout_s": 0}}, "timeout_s"),
        ({"extra": {"timeout_s": True}}, "timeout_s"),
        ({"extra": {"timeout_s": "nan"}}, "timeout_s"),
        ({"extra": {"allow_http": "maybe"}}, "allow_http"),
        ({"extra": {"proxy": "proxy.example.com:3128"}}, "Proxy (extra proxy)"),
        ({"extra": {"realm": 7}}, "Realm (extra realm)"),
        ({"extra": {"ca_bundle": ["a"]}}, "CA bundle (extra ca_bundle)"),
        ({"password": "***"}, "Password holds asterisks"),
        ({"login": "***"}, "E-mail (login) holds asterisks"),
        ({"extra": {"customer_id": "***"}}, "Customer ID (extra customer_id) holds asterisks"),
        ({"password": f"{PASSWORD}\n"}, "Password ends with a line break"),
        ({"password": f"{PASSWORD}\r\n"}, "Password ends with a line break"),
        ({"password": f"'{PASSWORD}'"}, "Password stands in quotation marks"),
        ({"password": f'"{PASSWORD}"'}, "Password stands in quotation marks"),
        ({"extra": {"customer_id": '"acme"'}}, "(extra customer_id) stands in quotation marks"),
        ({"extra": {"costumer_id": "acme"}}, "costumer_id"),
    ],
)
def test_a_wrong_field_is_named_and_no_secret_is_shown(changes, names):
    with pytest.raises(We360ConfigError) as caught:
        parse_connection(connection(**changes))
    message = str(caught.value)
    assert names in message
    assert "we360_default" in message
    assert not any(secret in message for secret in (PASSWORD, "ops@acme.example", "user:pw"))


@pytest.mark.parametrize("extra", ["{not json", '["customer_id"]', '"acme"'])
def test_extra_that_is_no_object_is_refused_without_being_shown(extra):
    with pytest.raises(We360ConfigError, match="Extra") as caught:
        parse_connection(SimpleNamespace(**(vars(connection()) | {"extra": extra})))
    assert "not json" not in str(caught.value)


@pytest.mark.parametrize("false", [False, "false", "False", "0", "no", "", None])
def test_false_as_text_is_false(false):
    with pytest.raises(We360ConfigError, match="API URL"):
        parse_connection(connection(host="http://localhost:8360", extra={"allow_http": false}))


@pytest.mark.parametrize(
    "host", ["http://localhost", "http://127.0.0.1:8360", "http://127.8.9.1", "http://[::1]:8360"]
)
@pytest.mark.parametrize("true", [True, "true", "1"])
def test_plain_http_is_for_this_machine_only_and_knows_no_proxy(host, true):
    settings = parse_connection(connection(host=host, extra={"allow_http": true, "auth_url": host}))
    assert settings.api_url.scheme == "http"
    assert settings.trust_env is False


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("api.eu.we360.example", None, "https://api.eu.we360.example/"),
        ("api.eu.we360.example:8443", None, "https://api.eu.we360.example:8443/"),
        ("api.eu.we360.example", 8443, "https://api.eu.we360.example:8443/"),
        ("https://api.eu.we360.example/", "8443", "https://api.eu.we360.example:8443/"),
        ("https://api.eu.we360.example:8443", 8443, "https://api.eu.we360.example:8443/"),
    ],
)
def test_a_bare_host_means_https_and_a_port_is_kept(host, port, url):
    assert str(parse_connection(connection(host=host, port=port)).api_url) == url


@pytest.mark.parametrize("password", [' "a', "a'", "* *", " ", "it's 'so'", "\nx"])
def test_a_password_that_only_looks_odd_is_kept(password):
    assert parse_connection(connection(password=password)).password == password


@pytest.mark.parametrize(
    ("auth_url", "words"),
    [
        ("https://a.test/realms/ind-prod", ["remove '/realms/ind-prod'", "'https://a.test/' rem"]),
        (
            "https://a.test/kc/realms/other/protocol/openid-connect/token",
            ["so that 'https://a.test/kc' remains", "enter 'other' as Realm (extra realm)"],
        ),
    ],
)
def test_an_issuer_or_token_url_says_what_to_remove(auth_url, words):
    with pytest.raises(We360ConfigError, match="base URL of the login server") as caught:
        parse_connection(connection(extra={"auth_url": auth_url}))
    assert all(part in str(caught.value) for part in words)


def test_settings_register_their_secrets_for_redaction():
    proxy = "http://user:proxy-pass-1@proxy.example.com:3128"
    parse_connection(connection(extra={"proxy": proxy}))
    text = foreign_text(f"no {PASSWORD} for OPS@acme.example at proxy-pass-1")
    assert text == "no <hidden> for <hidden> at <hidden>"


def test_values_from_a_uri_arrive_as_text_and_are_read():
    settings = parse_connection(
        connection(extra={"timeout_s": "90", "timezone": "Asia/Dubai", "token_cache": "memory"})
    )
    assert (settings.timeout_s, settings.timezone, settings.token_cache) == (
        90.0,
        "Asia/Dubai",
        TokenCache.MEMORY,
    )


def test_connections_of_one_account_share_a_fingerprint():
    one = parse_connection(connection())
    other = parse_connection(
        connection(conn_id="second", login="OPS@acme.example", password="other")
    )
    assert one.account_fingerprint == other.account_fingerprint
    assert len(one.account_fingerprint) == len(one.login_fingerprint) == 12
    assert (
        one.account_fingerprint
        != parse_connection(connection(extra={"customer_id": "other"})).account_fingerprint
    )


def test_settings_show_no_secret():
    text = repr(
        parse_connection(connection(extra={"proxy": "http://user:pw@proxy.example.com:3128"}))
    )
    assert not any(secret in text for secret in (PASSWORD, "ops@acme.example", "user:pw"))
