"""The one place that knows how Airflow 2.11 and 3.x differ."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import Variable, mask_secret

__all__ = ["get_fernet", "mask_secret", "variables"]


class _Variables:
    """Airflow Variables. The name of ``get``'s default argument changed with Airflow 3."""

    def get(self, name: str) -> str | None:
        get: Any = Variable.get
        try:
            value = get(name, default=None)
        except TypeError:
            value = get(name, default_var=None)
        return None if value is None else str(value)

    def set(self, name: str, value: str, description: str) -> None:
        Variable.set(name, value, description=description)

    def delete(self, name: str) -> None:
        Variable.delete(name)


def variables() -> _Variables:
    """Airflow's Variables, as this process may reach them."""
    return _Variables()


def get_fernet() -> Any:
    """Airflow's own Fernet, with all keys of ``[core] fernet_key``: rotation is honoured."""
    try:
        from airflow.sdk.crypto import get_fernet as sdk_fernet
    except ImportError:
        from airflow.models.crypto import get_fernet as core_fernet

        return core_fernet()
    return sdk_fernet()
