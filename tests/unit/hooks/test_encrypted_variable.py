"""The entries in Airflow: encrypted tokens, readable lease and lockout state, no failures."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, replace

import httpx
import pytest
from cryptography.fernet import Fernet, MultiFernet

from airflow_provider_we360.auth.lease import Lease
from airflow_provider_we360.auth.lockout import LockoutState, Refusal, mark_credentials
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_store import EntryUnreadable
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.encrypted_variable import variable_store, xcom_store
from airflow_provider_we360.hooks.encryption import TokenCipher
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
LEASE = Lease("0123", until=5000.0, lasts_s=90.0)
LOCKOUT = LockoutState(
    refusals={"abcde": Refusal("credentials", 2, 1000.0, 6000.0, "the password is wrong")},
    grants=(900.0, 1000.0),
)
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
    return variable_store(settings, variables, TokenCipher(settings, key), clock=lambda: 2000.0)


@pytest.mark.parametrize(
    ("entry", "value"), [("token", TOKEN), ("lease", LEASE), ("lockout", LOCKOUT)]
)
def test_what_one_task_writes_the_next_one_reads(variables, key, entry, value):
    assert getattr(store_of(variables, key), entry).write(value) is True
    assert getattr(store_of(variables, key), entry).read() == value


def test_variables_have_masked_names_and_hold_no_readable_secret(variables, key):
    store = store_of(variables, key)
    store.token.write(TOKEN)
    store.lease.write(LEASE)
    store.lockout.write(LOCKOUT)
    account, login = SETTINGS.account_fingerprint, SETTINGS.login_fingerprint
    assert variables.values.keys() == {
        f"we360_token__{account}",
        f"we360_token_lease__{login}",
        f"we360_token_block__{login}",
    }
    token = json.loads(variables.values[f"we360_token__{account}"])
    assert {field: token[field] for field in token if field != "sealed"} == {
        "v": 1,
        "expires_at": 37000,
    }
    for text in variables.values.values():
        assert not any(secret in text for secret in ("canary", "ops@acme.example", "s3cret"))


def test_a_changed_password_voids_the_token(variables, key):
    store_of(variables, key).token.write(TOKEN)
    changed = store_of(variables, key, replace(SETTINGS, password="changed")).token
    assert changed.read() is None
    assert changed.voided == TOKEN


@pytest.mark.parametrize(
    "change",
    [
        {"api_url": httpx.URL("https://api.eu.we360.example/")},
        {"auth_url": httpx.URL("https://auth.in.we360.ai./")},
        {"login": "OPS@acme.example"},
    ],
)
def test_another_host_or_spelling_shares_the_token(variables, key, change):
    store_of(variables, key).token.write(TOKEN)
    assert store_of(variables, key, replace(SETTINGS, **change)).token.read() == TOKEN


def test_two_customer_ids_have_own_tokens_and_one_lockout(variables, key):
    other = replace(SETTINGS, customer_id="globex")
    store_of(variables, key).token.write(TOKEN)
    store_of(variables, key, other).token.write(NEWER)
    store_of(variables, key).lockout.write(LOCKOUT)
    assert store_of(variables, key).token.read() == TOKEN
    assert store_of(variables, key, other).lockout.read() == LOCKOUT


def test_a_credential_mark_is_too_short_to_confirm_a_guess():
    marks = {
        mark_credentials(replace(SETTINGS, **change), LOCKOUT.salt)
        for change in ({}, {"password": "changed"}, {"customer_id": "globex"})
    }
    assert len(marks) == 3
    assert all(len(mark) == 5 for mark in marks)


def test_changed_credentials_still_mind_the_lease(variables, key):
    store_of(variables, key).lease.write(LEASE)
    assert store_of(variables, key, replace(SETTINGS, password="changed")).lease.read() == LEASE


def test_a_rotated_fernet_key_still_opens_the_entry(variables, key):
    store_of(variables, key).token.write(TOKEN)
    rotated = MultiFernet([Fernet(Fernet.generate_key()), key])
    assert store_of(variables, rotated).token.read() == TOKEN


@pytest.mark.parametrize("text", ["", "not json", "{}", "[]", "null", "[" * 100_000])
@pytest.mark.parametrize("entry", ["token", "lease", "lockout"])
def test_a_damaged_entry_is_logged_once_and_strictly_an_error(variables, key, entry, text, caplog):
    damaged = getattr(store_of(variables, key), entry)
    variables.values[damaged.key] = text
    assert damaged.read() is None
    assert damaged.read() is None
    assert len(caplog.records) == 1
    with pytest.raises(EntryUnreadable) as caught:
        damaged.read(strict=True)
    assert caught.value.is_damaged
    assert damaged.key in str(caught.value)


def test_a_store_that_does_not_answer_is_not_an_empty_one(variables, key):
    store = store_of(variables, key)
    variables.broken = frozenset({"get"})
    assert store.lockout.read() is None
    with pytest.raises(EntryUnreadable, match="cannot be read") as caught:
        store.lockout.read(strict=True)
    assert not caught.value.is_damaged


@pytest.mark.parametrize("of", ["another version", "another key"])
def test_a_foreign_token_is_left_alone_until_it_expires(variables, key, of):
    other = store_of(variables, Fernet(Fernet.generate_key())).token
    other.write(TOKEN)
    text = variables.values[other.key]
    if of == "another version":
        text = variables.values[other.key] = json.dumps({"v": 7, "expires_at": 37000})
    entry = store_of(variables, key).token
    assert entry.read() is None
    assert entry.write(NEWER) is False
    assert variables.values[other.key] == text
    later = variable_store(SETTINGS, variables, TokenCipher(SETTINGS, key), clock=lambda: 37001.0)
    assert later.token.read() is None
    assert later.token.write(NEWER) is True


def test_a_token_of_the_old_format_is_voided(variables, key):
    inner = asdict(TOKEN) | {"salt": "00" * 16, "digest": "1f", "host": "https://api.in.we360.ai/"}
    sealed = key.encrypt(json.dumps(inner).encode()).decode()
    entry = store_of(variables, key).token
    variables.values[entry.key] = json.dumps({"v": 1, "expires_at": 37000, "sealed": sealed})
    assert entry.read() is None
    assert entry.voided == TOKEN
    assert entry.write(NEWER) is True


def test_a_suspension_of_the_first_edition_still_counts(variables, key):
    name = f"we360_token_block__{SETTINGS.account_fingerprint}"
    variables.values[name] = json.dumps({"v": 1, "expires_at": 5000, "sealed": "unreadable"})
    entry = store_of(variables, key).lockout
    assert entry.read(strict=True).not_before == 5000
    assert entry.name == f"Airflow Variable {name}"
    entry.delete()
    assert variables.values == {}


def test_a_suspension_of_a_later_version_counts_until_it_says(variables, key):
    entry = store_of(variables, key).lockout
    variables.values[entry.key] = json.dumps({"v": 9, "not_before": 6000.0, "marks": []})
    assert entry.read(strict=True).not_before == 6000


def test_lease_and_lockout_are_shared_across_different_keys(variables, key):
    one, other = store_of(variables, key), store_of(variables, Fernet(Fernet.generate_key()))
    one.lockout.write(LOCKOUT)
    one.lease.write(LEASE)
    assert (other.lockout.read(strict=True), other.lease.read()) == (LOCKOUT, LEASE)


def test_teams_keep_entries_of_their_own(variables, key):
    cipher = TokenCipher(SETTINGS, key)
    stores = [variable_store(SETTINGS, variables, cipher, team=team) for team in ("a_team", None)]
    for store in stores:
        store.token.write(TOKEN)
        store.lockout.write(LOCKOUT)
    assert len(variables.values) == 4
    assert sum(name.endswith("__a_team") for name in variables.values) == 2


@pytest.mark.parametrize("broken", ["get", "set", "delete"])
def test_a_failing_store_is_logged_once_without_its_text(variables, key, broken, caplog):
    store = store_of(variables, key)
    variables.broken = frozenset({broken})
    for _ in range(3):
        for entry, value in ((store.token, TOKEN), (store.lease, LEASE), (store.lockout, LOCKOUT)):
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
def test_a_value_that_does_not_stay_is_logged_once(variables, key, trouble, caplog):
    entry = store_of(variables, key).token
    if trouble == "shadowed":
        variables.shadow[entry.key] = "old"
    variables.deaf = trouble == "deaf"
    entry.read()
    assert entry.write(TOKEN) is False
    assert entry.write(NEWER) is False
    assert caplog.text.count("does not show what was just written") == 1


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


def test_an_unencrypted_entry_is_logged_once(variables, caplog):
    store = store_of(variables, OpenFernet())
    store.token.write(TOKEN)
    store.token.write(NEWER)
    store.lease.write(LEASE)
    assert store.token.read() == NEWER
    assert caplog.text.count("unencrypted") == 1
    assert not any(
        secret in variables.values[store.token.key] for secret in ("s3cret", "ops@acme.example")
    )


def test_lease_and_lockout_are_variables_wherever_the_token_is(variables, key):
    cipher, xcoms = TokenCipher(SETTINGS, key), FakeVariables()
    for store in (
        variable_store(SETTINGS, variables, None),
        xcom_store(SETTINGS, xcoms, "log_in", variables, cipher),
    ):
        store.token.write(TOKEN)
        store.lockout.write(LOCKOUT)
        store.lease.write(LEASE)
    login = SETTINGS.login_fingerprint
    assert variables.values.keys() == {
        f"we360_token_lease__{login}",
        f"we360_token_block__{login}",
    }
    assert xcoms.values.keys() == {"we360_token"}
    assert "canary" not in xcoms.values["we360_token"]


def test_no_repr_shows_a_secret(variables, key):
    store = store_of(variables, key)
    store.token.write(TOKEN)
    shown = f"{store!r} {TokenCipher(SETTINGS, key)!r} {TOKEN!r} {SETTINGS!r}"
    assert not any(secret in shown for secret in ("canary", "ops@acme.example", "s3cret"))
