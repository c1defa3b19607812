"""Where Airflow keeps an account's entries. Lease and block are Variables always: they protect the account, not a run."""

from __future__ import annotations

from airflow_provider_we360.auth.store import Entry, MemoryEntry, TokenStore
from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.entry import (
    BLOCK_FORM,
    LEASE_FORM,
    TOKEN_FORM,
    Complaints,
    SealedBlocks,
    SealedEntry,
    Texts,
)
from airflow_provider_we360.hooks.seal import Seal

VARIABLE = "Airflow Variable"
XCOM_KEY = "we360_token"


def variable_store(settings: We360Settings, variables: Texts, seal: Seal) -> TokenStore:
    """The token set in the Variable ``we360_token__<fingerprint of the account>``, for all tasks of the account."""
    complaints = Complaints()
    token = SealedEntry(
        variables,
        VARIABLE,
        f"we360_token__{settings.account_fingerprint}",
        f"We360 token cache of Connection {settings.conn_id}; delete it to force a new login",
        form=TOKEN_FORM,
        seal=seal,
        complaints=complaints,
    )
    return _store(token, settings, variables, seal, complaints, is_shared=True)


def xcom_store(
    settings: We360Settings, xcoms: Texts, login_task: str, variables: Texts, seal: Seal
) -> TokenStore:
    """The token set in an XCom of the run's login task, for the tasks of this Dag run.

    :param xcoms: the XComs of the login task.
    :param login_task: its id, for messages.
    """
    complaints = Complaints()
    token = SealedEntry(
        xcoms,
        f"XCom of task {login_task}:",
        XCOM_KEY,
        "",
        form=TOKEN_FORM,
        seal=seal,
        complaints=complaints,
    )
    return _store(token, settings, variables, seal, complaints, is_shared=True)


def memory_store(settings: We360Settings, variables: Texts, seal: Seal) -> TokenStore:
    """The token set in this process alone."""
    return _store(MemoryEntry(), settings, variables, seal, Complaints(), is_shared=False)


def _store(
    token: Entry[TokenSet],
    settings: We360Settings,
    variables: Texts,
    seal: Seal,
    complaints: Complaints,
    *,
    is_shared: bool,
) -> TokenStore:
    account, of = settings.account_fingerprint, f"of Connection {settings.conn_id}"
    return TokenStore(
        token=token,
        lease=SealedEntry(
            variables,
            VARIABLE,
            f"we360_token_lease__{account}",
            f"A task renews the We360 token {of}; gone within a minute",
            form=LEASE_FORM,
            seal=seal,
            complaints=complaints,
        ),
        block=SealedBlocks(
            variables,
            VARIABLE,
            f"we360_token_block__{account}",
            f"We360 refused the login {of}; delete this to try again at once",
            form=BLOCK_FORM,
            seal=seal,
            complaints=complaints,
        ),
        is_shared=is_shared,
    )
