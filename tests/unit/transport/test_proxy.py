"""The proxy of a request: which variable names it, and what a wrong one says."""

from __future__ import annotations

import os

import httpx
import pytest

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transport.client import build_http_client
from airflow_provider_we360.transport.proxy import find_proxy
from simulator.app import Simulator, SimulatorConfig
from support.session import settings_for

API, AUTH = httpx.URL("https://api.we360.test"), httpx.URL("https://auth.we360.test")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    return monkeypatch.setenv


def settings(**changes):
    return settings_for(
        Simulator(SimulatorConfig()),
        **{"api_url": API, "auth_url": AUTH, "trust_env": True} | changes,
    )


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("HTTPS_PROXY", "http://user:secret@p.test:3128", "the proxy p.test:3128"),
        ("https_proxy", "p.test:3128", "the proxy p.test:3128"),
        ("ALL_PROXY", "http://p.test", "the proxy p.test:80"),
    ],
)
def test_a_proxy_of_the_environment_is_named_without_its_user(environment, name, value, shown):
    environment(name, value)
    proxy = find_proxy(settings(), API)
    assert str(proxy) == f"{shown} (environment variable {name})"
    assert "secret" not in repr(proxy)


def test_the_connections_proxy_wins(environment):
    environment("HTTPS_PROXY", "http://other.test:1")
    proxy = find_proxy(settings(proxy="http://p.test:3128"), API)
    assert str(proxy) == "the proxy p.test:3128 (Proxy (extra proxy))"


@pytest.mark.parametrize(
    ("variables", "is_used"),
    [
        ({}, False),
        ({"HTTP_PROXY": "http://p.test"}, False),
        ({"HTTPS_PROXY": ""}, False),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "we360.test"}, False),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": ".we360.test"}, False),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "*"}, False),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "localhost,fd00::/8"}, True),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "localhost,[::1]"}, True),
        ({"HTTPS_PROXY": "http://p.test", "NO_PROXY": "e360.test, ,::"}, True),
    ],
)
def test_no_proxy_is_honoured_whatever_else_it_lists(environment, variables, is_used):
    for name, value in variables.items():
        environment(name, value)
    assert (find_proxy(settings(), API) is not None) is is_used
    build_http_client(settings()).close()


def test_a_sandbox_on_this_machine_uses_no_proxy(environment):
    environment("ALL_PROXY", "http://p.test")
    assert find_proxy(settings(trust_env=False), API) is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:1080", "names a SOCKS proxy"),
        ("HTTPS_PROXY", "ftp://user:hunter2@p.test:21", "expected the URL of an HTTP proxy"),
        ("HTTPS_PROXY", "http://user:hunter2@:x", "expected the URL of an HTTP proxy"),
        ("all_proxy", "http://", "expected the URL of an HTTP proxy"),
    ],
)
def test_a_variable_that_names_no_http_proxy_is_named(environment, name, value, words):
    environment(name, value)
    with pytest.raises(We360ConfigError, match=f"environment variable {name}: {words}") as caught:
        build_http_client(settings())
    assert "hunter2" not in str(caught.value)
