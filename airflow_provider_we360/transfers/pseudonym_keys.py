"""Read the keys of pseudonyms: the password of a Connection, or a Variable that Airflow masks."""

from __future__ import annotations

import json
import re
from typing import Any, Literal, NamedTuple

from airflow_provider_we360.arguments.values import read_mapping
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.rows.pseudonyms import PseudonymKey

MIN_KEY_LENGTH = 32
FIRST_VERSION = "v1"
_VERSION = re.compile(r"[A-Za-z0-9]{1,16}")
_FORM = "write 'conn:ID' (the password of a Connection) or 'var:NAME' (a Variable)"
_GENERATE = "generate one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"


class KeyReference(NamedTuple):
    """Where a key is stored."""

    kind: Literal["conn", "var"]
    name: str


def parse_key_references(pseudonymize: object) -> dict[str, KeyReference]:
    """Return where the key of each column is stored. Nothing is read.

    :param pseudonymize: the operator's argument: key references by column, as a mapping or as JSON.
    :raises We360ConfigError: for the first column whose reference is malformed.
    """
    references = {}
    for column, reference in read_mapping(pseudonymize, "pseudonymize").items():
        kind, _, name = str(reference).partition(":")
        name = name.strip()
        if kind == "conn" and name:
            references[column] = KeyReference("conn", name)
        elif kind == "var" and name:
            references[column] = KeyReference("var", name)
        else:
            raise We360ConfigError(f"pseudonymize[{column!r}]: does not refer to a key; {_FORM}")
    return references


def read_keys(pseudonymize: object) -> dict[str, PseudonymKey]:
    """Return the key of each column.

    :param pseudonymize: as for :func:`parse_key_references`.
    :raises We360ConfigError: for the first column without a usable key; never shows a key.
    """
    return {
        column: _read_key(f"pseudonymize[{column!r}]", reference)
        for column, reference in parse_key_references(pseudonymize).items()
    }


def _read_key(argument: str, reference: KeyReference) -> PseudonymKey:
    from airflow_provider_we360 import _compat

    read = _read_connection if reference.kind == "conn" else _read_variable
    argument = f"{argument}: {reference.kind}:{reference.name}"
    secret, version = read(reference.name, argument)
    # Masked before the first check: no message after this line can show it.
    _compat.mask_secret(secret)
    if len(secret) < MIN_KEY_LENGTH:
        raise We360ConfigError(
            f"{argument} holds a key of less than {MIN_KEY_LENGTH} characters; {_GENERATE}"
        )
    if not _VERSION.fullmatch(version):
        raise We360ConfigError(
            f"{argument}: version must be 1 to 16 letters and digits, such as {FIRST_VERSION!r}"
        )
    return PseudonymKey(secret.encode(), version)


def _read_connection(conn_id: str, argument: str) -> tuple[str, str]:
    from airflow_provider_we360.hooks.connections import get_connection

    connection = get_connection(conn_id, argument, "one whose Password is the key")
    # One secret for two purposes: a leak of the password would undo all pseudonyms.
    if connection.conn_type == "we360":
        raise We360ConfigError(
            f"{argument} is a We360 account; give the key a Connection of its own, so that neither"
            " secret gives away the other"
        )
    extra = _parse_object(connection.extra)
    return connection.password or "", str(extra.get("version") or FIRST_VERSION)


def _read_variable(name: str, argument: str) -> tuple[str, str]:
    from airflow_provider_we360 import _compat

    if not _compat.is_masked_by_name(name):
        raise We360ConfigError(
            f"{argument}: Airflow would show this Variable in plain text; give it a name that"
            " Airflow masks, such as we360_pseudonym_secret"
        )
    text = _compat.variables().get(name)
    if text is None:
        raise We360ConfigError(f"{argument}: there is no such Variable; {_GENERATE}")
    stored = _parse_object(text)
    if "key" in stored:
        return str(stored["key"]), str(stored.get("version") or FIRST_VERSION)
    return text, FIRST_VERSION


def _parse_object(text: str | None) -> dict[str, Any]:
    """Return the JSON object of a text; empty for any other text.

    Nothing is raised: an error would quote the text, which may be the key.
    """
    try:
        found = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
