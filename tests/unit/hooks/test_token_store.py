"""What tasks tell each other through Airflow: sealed, bound to its credentials, never a reason to fail."""

from __future__ import annotations

import json
import logging
from dataclasses import replace

import httpx
import pytest
from cryptography.fernet import Fernet, MultiFernet

from airflow_provider_we360.auth.block import Block
from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.store import clear
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.seal import Seal
from airflow_provider_we360.hooks.token_store import memory_store, variable_store, xcom_store
from support.variables import FakeVariables

TOKEN = TokenSet(
    "access-canary-111",
    "refresh-canary-222",
    obtained_at=1000.0,
    expires_at=37000.0,
    rotates=True,
    session="s-1",
)
NEWER = TokenSet(
    "access-canary-333", "refresh-canary-444", obtained_at=2000.0, expires_at=38000.0, generation=7
)
LEASE = Lease("0123", until=5000.0)
BLOCK = Block("credentials", refused=2, until=6000.0, reason="Login or Password is wrong")
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


def store_of(variables, key, settings=SETTINGS):
    return variable_store(settings, variables, Seal(settings, key))


@pytest.mark.parametrize(("entry", "value"), [("token", TOKEN), ("lease", LEASE), ("block", BLOCK)])
def test_what_one_task_writes_the_next_one_reads(variables, key, entry, value):
    assert getattr(store_of(variables, key), entry).write(value) is True
    assert getattr(store_of(variables, key), entry).read() == value


def test_the_variables_are_named_so_that_airflow_masks_them_and_show_version_and_expiry_only(
    variables, key
):
    store = store_of(variables, key)
    store.token.write(TOKEN)
    store.lease.write(LEASE)
    store.block.write(BLOCK)
    account = SETTINGS.account_fingerprint
    ends = {
        f"we360_token__{account}": 37000,
        f"we360_token_lease__{account}": 5000,
        f"we360_token_block__{account}": 6000,
    }
    assert variables.values.keys() == ends.keys()
    for name, text in variables.values.items():
        entry = json.loads(text)
        assert {field: entry[field] for field in entry if field != "sealed"} == {
            "v": 1,
            "expires_at": ends[name],
        }
        assert not any(
            secret in text for secret in ("canary", "ops@acme.example", "s3cret", "0123", "Login")
        )


@pytest.mark.parametrize(
    "change", [{"password": "changed"}, {"api_url": httpx.URL("https://api.eu.we360.example/")}]
)
@pytest.mark.parametrize(("entry", "value"), [("token", TOKEN), ("block", BLOCK)])
def test_changed_credentials_void_the_token_and_are_not_blocked(
    variables, key, change, entry, value
):
    getattr(store_of(variables, key), entry).write(value)
    assert getattr(store_of(variables, key, replace(SETTINGS, **change)), entry).read() is None


def test_changed_credentials_still_mind_the_lease(variables, key):
    store_of(variables, key).lease.write(LEASE)
    assert store_of(variables, key, replace(SETTINGS, password="changed")).lease.read() == LEASE


def test_a_rotated_fernet_key_still_opens_the_entry(variables, key):
    store_of(variables, key).token.write(TOKEN)
    rotated = MultiFernet([Fernet(Fernet.generate_key()), key])
    assert store_of(variables, rotated).token.read() == TOKEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{}",
        '{"v": 1, "sealed": "x"}',
        '{"v": 1, "sealed": 5}',
        "[]",
        "null",
        '{"v": 2}',
    ],
)
def test_what_does_not_open_counts_as_absent_and_is_said_once(variables, key, text, caplog):
    entry = store_of(variables, key).token
    variables.values[entry.key] = text
    assert entry.read() is None
    assert entry.read() is None
    assert len(caplog.records) == 1


def test_an_entry_of_another_version_is_left_alone(variables, key):
    entry = store_of(variables, key).token
    variables.values[entry.key] = '{"v": 2}'
    assert clear(entry, lambda token: True) is False
    assert entry.write(TOKEN) is False
    assert variables.values[entry.key] == '{"v": 2}'


def test_a_newer_token_of_a_sibling_is_not_cleared(variables, key):
    entry = store_of(variables, key).token
    entry.write(NEWER)
    assert clear(entry, lambda token: token.access_token == TOKEN.access_token) is False
    assert entry.read() == NEWER
    assert clear(entry, lambda token: token.access_token == NEWER.access_token) is True
    assert entry.read() is None


@pytest.mark.parametrize("broken", ["get", "set", "delete"])
def test_a_store_in_trouble_is_said_once_without_its_text_and_stops_nothing(
    variables, key, broken, caplog
):
    store = store_of(variables, key)
    variables.broken = frozenset({broken})
    for _ in range(3):
        for entry, value in ((store.token, TOKEN), (store.lease, LEASE), (store.block, BLOCK)):
            entry.write(value)
            entry.read()
            entry.delete()
    messages = [
        record.getMessage() for record in caplog.records if record.levelno == logging.WARNING
    ]
    assert 1 <= len(messages) == len(set(messages)) <= 2
    assert "PermissionError" in caplog.text
    assert "secret-in-the-text" not in caplog.text


@pytest.mark.parametrize("trouble", ["shadowed", "deaf"])
def test_a_value_that_does_not_stay_is_said_once_and_told_to_the_writer(
    variables, key, trouble, caplog
):
    entry = store_of(variables, key).token
    if trouble == "shadowed":
        variables.shadow[entry.key] = "old"
    variables.deaf = trouble == "deaf"
    entry.read()
    assert entry.write(TOKEN) is False
    assert entry.write(NEWER) is False
    assert caplog.text.count("does not hold what was just written") == 1


@pytest.mark.parametrize("collides", [False, True])
def test_a_sibling_that_was_faster_is_no_trouble(variables, key, collides, caplog):
    mine, siblings = store_of(variables, key).token, store_of(variables, key).token
    mine.read()
    variables.before_read = lambda: siblings.write(NEWER)
    variables.broken = frozenset({"set"}) if collides else frozenset()
    if collides:  # as Airflow 2.11, which deletes and inserts, answers the slower of two
        siblings_own = FakeVariables(values=variables.values)
        siblings = store_of(siblings_own, key).token
    assert mine.write(TOKEN) is False
    assert mine.read() == NEWER
    assert not caplog.records


def test_without_a_fernet_key_the_entry_lies_open_and_that_is_said_once(variables, caplog):
    store = store_of(variables, OpenFernet())
    store.token.write(TOKEN)
    store.token.write(NEWER)
    store.lease.write(LEASE)
    assert store.token.read() == NEWER
    assert caplog.text.count("unencrypted") == 1
    assert not any(
        secret in variables.values[store.token.key] for secret in ("s3cret", "ops@acme.example")
    )


def test_lease_and_block_are_variables_wherever_the_token_is(variables, key):
    seal, xcoms = Seal(SETTINGS, key), FakeVariables()
    for store in (
        memory_store(SETTINGS, variables, seal),
        xcom_store(SETTINGS, xcoms, "log_in", variables, seal),
    ):
        store.token.write(TOKEN)
        store.block.write(BLOCK)
        store.lease.write(LEASE)
    account = SETTINGS.account_fingerprint
    assert variables.values.keys() == {
        f"we360_token_lease__{account}",
        f"we360_token_block__{account}",
    }
    assert xcoms.values.keys() == {"we360_token"}
    assert "canary" not in xcoms.values["we360_token"]


def test_neither_seal_nor_entry_shows_what_it_holds(variables, key):
    store = store_of(variables, key)
    store.token.write(TOKEN)
    shown = f"{store!r} {Seal(SETTINGS, key)!r} {TOKEN!r} {SETTINGS!r}"
    assert not any(secret in shown for secret in ("canary", "ops@acme.example", "s3cret"))


def test_connections_with_two_wrong_passwords_keep_a_block_each(variables, key):
    one, other = (
        store_of(variables, key),
        store_of(variables, key, replace(SETTINGS, password="another")),
    )
    longer = replace(BLOCK, refused=3, until=9000.0)
    one.block.write(BLOCK)
    other.block.write(longer)
    assert (one.block.read(), other.block.read()) == (BLOCK, longer)
    one.block.delete()
    assert (one.block.read(), other.block.read(), other.block.is_empty()) == (None, None, True)


def test_a_block_remembers_so_many_credentials_and_no_more(variables, key):
    stores = [
        store_of(variables, key, replace(SETTINGS, password=f"wrong-{number}"))
        for number in range(20)
    ]
    for number, store in enumerate(stores):
        store.block.write(replace(BLOCK, until=1000.0 * number))
    assert [store.block.read() is not None for store in stores] == [False] * 4 + [True] * 16
