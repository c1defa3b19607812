"""Keys of pseudonyms, as ``pseudonymize`` names them: the password of a Connection, or a Variable that Airflow masks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_we360 import _compat
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import PseudonymKey

SHORTEST_KEY = 32
FIRST_VERSION = "v1"
_VERSION = re.compile(r"[A-Za-z0-9]{1,16}")
_FORM = "write 'conn:ID' (the password of a Connection) or 'var:NAME' (a Variable)"
_MAKE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


def read_keys(pseudonymize: object) -> dict[str, PseudonymKey]:
    """The key of each column.

    :param pseudonymize: the operator's argument: columns and where their keys are, as a mapping or, from a template, as JSON.
    :raises We360ConfigError: for the first that cannot be had, by column; never shows a key.
    """
    return {column: _key(column, place) for column, place in _mapping(pseudonymize).items()}


def _mapping(given: object) -> Mapping[str, Any]:
    if isinstance(given, str) and given.strip():
        given = _json(given) or "no object"
    given = given or {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise We360ConfigError(f"pseudonymize: expected a mapping of column names to keys; {_FORM}")
    return given


def _key(column: str, place: object) -> PseudonymKey:
    kind, _, name = str(place).partition(":")
    if kind not in ("conn", "var") or not name.strip():
        raise We360ConfigError(f"pseudonymize[{column!r}]: is no place of a key; {_FORM}")
    where = f"pseudonymize[{column!r}]: {kind}:{name}"
    secret, version = (_of_connection if kind == "conn" else _of_variable)(name.strip(), where)
    _compat.mask_secret(secret)
    if len(secret) < SHORTEST_KEY:
        raise We360ConfigError(
            f"{where} holds a key of less than {SHORTEST_KEY} characters; {_MAKE}"
        )
    if not _VERSION.fullmatch(version):
        raise We360ConfigError(
            f"{where}: version must be 1 to 16 letters and digits, such as {FIRST_VERSION!r}"
        )
    return PseudonymKey(secret.encode(), version)


def _of_connection(conn_id: str, where: str) -> tuple[str, str]:
    try:
        connection = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise We360ConfigError(
            f"{where}: there is no such Connection; make one whose Password is the key"
        ) from None
    if connection.conn_type == "we360":
        raise We360ConfigError(
            f"{where} is a We360 account; give the key a Connection of its own, so that neither tells the other"
        )
    extra = _json(connection.extra)
    return connection.password or "", str(extra.get("version") or FIRST_VERSION)


def _of_variable(name: str, where: str) -> tuple[str, str]:
    if not _compat.is_masked_by_name(name):
        raise We360ConfigError(
            f"{where}: Airflow would show this Variable in clear; "
            "give it a name that Airflow masks, such as we360_pseudonym_secret"
        )
    text = _compat.variables().get(name)
    if text is None:
        raise We360ConfigError(f"{where}: there is no such Variable; {_MAKE}")
    told = _json(text)
    return (
        (str(told["key"]), str(told.get("version") or FIRST_VERSION))
        if "key" in told
        else (text, FIRST_VERSION)
    )


def _json(text: str | None) -> dict[str, Any]:
    """The object that the text is; empty for any other. Nothing is raised: an error would hold the text."""
    try:
        told = json.loads(text or "")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
