"""The token set in an Airflow Variable: sealed, bound to its credentials, never a reason to fail."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import httpx
import pytest
from cryptography.fernet import Fernet, MultiFernet

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.token_store import VariableTokenStore
from support.variables import FakeVariables

TOKEN = TokenSet("access-canary-111", "refresh-canary-222", obtained_at=1000.0, expires_at=37000.0, rotates=True)
NEWER = TokenSet("access-canary-333", "refresh-canary-444", obtained_at=2000.0, expires_at=38000.0)
SETTINGS = We360Settings(
    conn_id="we360_default",
    customer_id="acme",
    login="ops@acme.example",
    password="s3cret-passw0rd",
    api_url=httpx.URL("https://api.in.we360.ai/"),
    auth_url=httpx.URL("https://auth.in.we360.ai/"),
)


class OpenFernet:
    """Airflow without a Fernet key."""

    is_encrypted = False

    def encrypt(self, msg):
        return msg

    def decrypt(self, msg):
        return msg


@pytest.fixture
def variables():
    return FakeVariables()


@pytest.fixture
def key():
    return Fernet(Fernet.generate_key())


def test_what_was_saved_is_loaded_by_the_next_task(variables, key):
    VariableTokenStore(SETTINGS, variables, key).save(TOKEN)
    assert VariableTokenStore(SETTINGS, variables, key).load() == TOKEN


def test_the_variable_is_named_so_that_airflow_masks_it_and_shows_version_and_expiry_only(variables, key):
    VariableTokenStore(SETTINGS, variables, key).save(TOKEN)
    ((name, text),) = variables.values.items()
    assert name == f"we360_token__{SETTINGS.account_fingerprint}"
    entry = json.loads(text)
    assert {field: entry[field] for field in entry if field != "sealed"} == {"v": 1, "expires_at": 37000}
    assert not any(secret in text for secret in ("canary", "ops@acme.example", "s3cret"))


@pytest.mark.parametrize(
    "change",
    [
        {"password": "changed"},
        {"api_url": httpx.URL("https://api.eu.we360.example/")},
    ],
)
def test_changed_credentials_void_the_entry(variables, key, change):
    VariableTokenStore(SETTINGS, variables, key).save(TOKEN)
    assert VariableTokenStore(replace(SETTINGS, **change), variables, key).load() is None


def test_a_rotated_fernet_key_still_opens_the_entry(variables, key):
    VariableTokenStore(SETTINGS, variables, key).save(TOKEN)
    rotated = MultiFernet([Fernet(Fernet.generate_key()), key])
    assert VariableTokenStore(SETTINGS, variables, rotated).load() == TOKEN


@pytest.mark.parametrize(
    "text", ["", "not json", "{}", '{"v": 1, "sealed": "x"}', '{"v": 1, "sealed": 5}', "[]", "null", '{"v": 2}']
)
def test_what_does_not_open_counts_as_absent_and_is_said_once(variables, key, text, caplog):
    store = VariableTokenStore(SETTINGS, variables, key)
    variables.values[store.name] = text
    assert store.load() is None
    assert store.load() is None
    assert len(caplog.records) == 1


def test_an_entry_of_another_version_is_not_deleted(variables, key):
    store = VariableTokenStore(SETTINGS, variables, key)
    variables.values[store.name] = '{"v": 2}'
    store.clear(TOKEN)
    assert variables.values[store.name] == '{"v": 2}'


def test_a_newer_token_of_a_sibling_is_not_cleared(variables, key):
    store = VariableTokenStore(SETTINGS, variables, key)
    store.save(NEWER)
    store.clear(TOKEN)
    assert store.load() == NEWER
    store.clear(NEWER)
    assert store.load() is None


@pytest.mark.parametrize("broken", ["get", "set", "delete"])
def test_a_store_in_trouble_is_said_once_without_its_text_and_stops_nothing(variables, key, broken, caplog):
    store = VariableTokenStore(SETTINGS, variables, key)
    store.save(TOKEN)
    variables.broken = frozenset({broken})
    for _ in range(3):
        store.save(TOKEN)
        store.load()
        store.clear(TOKEN)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert 1 <= len(messages) == len(set(messages))
    assert "PermissionError" in caplog.text
    assert "secret-in-the-text" not in caplog.text


@pytest.mark.parametrize("trouble", ["shadowed", "deaf"])
def test_a_value_that_does_not_stay_is_said_once(variables, key, trouble, caplog):
    store = VariableTokenStore(SETTINGS, variables, key)
    if trouble == "shadowed":
        variables.shadow[store.name] = "old"
    variables.deaf = trouble == "deaf"
    store.save(TOKEN)
    store.save(NEWER)
    assert caplog.text.count("another value") == 1


def test_without_a_fernet_key_the_entry_lies_open_and_that_is_said_once(variables, caplog):
    store = VariableTokenStore(SETTINGS, variables, OpenFernet())
    store.save(TOKEN)
    store.save(NEWER)
    assert store.load() == NEWER
    assert caplog.text.count("unencrypted") == 1
    assert not any(secret in variables.values[store.name] for secret in ("s3cret", "ops@acme.example"))
