"""The only module that knows the differences between Airflow 2.11 and 3.x."""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

from airflow.providers.common.compat.sdk import (
    Variable,
    XCom,
    conf,
    get_current_context,
    mask_secret,
)
from airflow.triggers.base import BaseTrigger, TriggerEvent

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # Airflow 2 has no asset watchers, but imports the module for its docs
    BaseEventTrigger = BaseTrigger  # type: ignore[assignment, misc]

IS_AIRFLOW_3 = hasattr(XCom, "get_all")

__all__ = [
    "IS_AIRFLOW_3",
    "BaseEventTrigger",
    "BaseTrigger",
    "TriggerEvent",
    "XCom",
    "connection_of",
    "current_context",
    "current_team",
    "delete_xcom",
    "find_connection",
    "get_fernet",
    "get_xcom",
    "has_file_system",
    "hook_lineage_collector",
    "is_masked_by_name",
    "mask_secret",
    "paths_cannot_open",
    "set_xcom",
    "task_state",
    "variables",
]


class _Variables:
    """Airflow Variables. The name of ``get``'s default argument changed with Airflow 3."""

    def get(self, name: str) -> str | None:
        get: Any = Variable.get
        try:
            value = get(name, default=None)
        except TypeError:
            value = get(name, default_var=None)
        return None if value is None else str(value)

    def confirm_absent(self, name: str) -> None:
        """Raise if a Variable only seems to be absent because the API server did not answer.

        Tasks of Airflow 3 treat every error of the API server as "not found".
        """
        try:
            from airflow.sdk.exceptions import ErrorType
            from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable
            from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS
        except ImportError:  # Airflow 2, or not in a task
            return
        try:
            answer: Any = SUPERVISOR_COMMS.send(GetVariable(key=name))
        except Exception as error:
            answer = getattr(error, "error", None)
            if not isinstance(answer, ErrorResponse):
                raise
        if isinstance(answer, ErrorResponse) and answer.error != ErrorType.VARIABLE_NOT_FOUND:
            raise ConnectionError(f"the API server did not answer ({answer.error})")

    def set(self, name: str, value: str, description: str) -> None:
        Variable.set(name, value, description=description)

    def delete(self, name: str) -> None:
        Variable.delete(name)


def current_team() -> str | None:
    """Return the team of the running task in multi-team mode (Airflow 3.2), else None.

    A Variable of one team is invisible to the others, but they overwrite it. Where Airflow does
    not say the team, the Dag bundle stands for it: a bundle belongs to one team at most.
    """
    context = current_context()
    if context is None:
        return None
    if team := getattr(context.get("dag_run"), "team_name", None):
        return str(team)
    if not conf.getboolean("core", "multi_team", fallback=False):
        return None
    bundle = getattr(getattr(context.get("ti"), "bundle_instance", None), "name", None)
    return str(bundle) if bundle else None


def variables() -> _Variables:
    """Return Airflow's Variables, as this process can reach them."""
    return _Variables()


def get_fernet() -> Any:
    """Return Airflow's Fernet with all keys of ``[core] fernet_key``, so that rotation works."""
    try:
        from airflow.sdk.crypto import get_fernet as sdk_fernet
    except ImportError:
        from airflow.models.crypto import get_fernet as core_fernet

        return core_fernet()
    return sdk_fernet()


def current_context() -> Any:
    """Return the context of the task that runs in this process; None outside of a task."""
    try:
        return get_current_context()
    except Exception:  # noqa: BLE001 - RuntimeError in Airflow 3, AirflowException in 2.11
        return None


def task_state(context: Any) -> Any:
    """Return the state store of the running task, which outlives its attempts; None before 3.3."""
    return context.get("task_state_store")


def get_xcom(key: str, where: dict[str, Any]) -> str | None:
    """Return an XCom of a task. ``where`` holds dag_id, run_id and task_id."""
    if IS_AIRFLOW_3:  # get_one logs an error if there is none
        values = XCom.get_all(key=key, **where)
        return str(values[0]) if values else None
    value = XCom.get_one(key=key, **where)
    return None if value is None else str(value)


def set_xcom(key: str, value: str, where: dict[str, Any]) -> None:
    """Write an XCom of a task of the running Dag run."""
    XCom.set(key=key, value=value, **where)


def delete_xcom(key: str, where: dict[str, Any]) -> None:
    """Delete an XCom. Airflow 2.11 can only delete all XComs of a task."""
    delete: Any = getattr(XCom, "delete", None)
    if hasattr(XCom, "clear"):
        XCom.clear(**where)
    else:
        delete(key=key, **where)


def hook_lineage_collector() -> Any:
    """Return Airflow's collector of hook lineage; None if no plugin reads it.

    Building one imports the asset handlers of all installed providers.
    """
    from airflow.providers.common.compat.lineage import hook

    get_collector: Any = hook.get_hook_lineage_collector
    try:
        from airflow.sdk import plugins_manager

        readers = plugins_manager.get_hook_lineage_readers_plugins()
    except ImportError:
        from airflow import plugins_manager as before_3_2

        older: Any = before_3_2
        older.initialize_hook_lineage_readers_plugins()
        readers = older.hook_lineage_reader_classes
    return get_collector() if readers else None


def find_connection(conn_id: str) -> Any:
    """Return the Connection the way Airflow's own commands read it: outside of a task."""
    from airflow.models.connection import Connection

    return Connection.get_connection_from_secrets(conn_id)


def is_masked_by_name(name: str) -> bool:
    """Return True if Airflow masks the value of a Variable of this name wherever it shows one."""
    for place in (
        "airflow.sdk._shared.secrets_masker",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ):
        try:
            module = importlib.import_module(place)
        except ImportError:
            continue
        return bool(module.should_hide_value_for_key(name))
    return False


def connection_of(place: Any) -> str | None:
    """Return the Connection ID of an ObjectStoragePath; up to Airflow 3.0 a storage option."""
    found = place.conn_id if hasattr(place, "conn_id") else place.storage_options.get("conn_id")
    return None if found is None else str(found)


def has_file_system(scheme: str) -> bool:
    """Return True if an installed Airflow provider serves URLs of this scheme.

    Airflow 3.0 moved the paths to the SDK, but not yet this function.
    """
    for place in ("airflow.sdk.io", "airflow.io"):
        try:
            has_fs = importlib.import_module(place).has_fs
        except (ImportError, AttributeError):
            continue
        return bool(has_fs(scheme))
    return False


def paths_cannot_open(error: Exception) -> str | None:
    """Return why no ObjectStoragePath of this Airflow opens a URL; None if that is not the error.

    Airflow 2.11.0 and 3.0 let pip install a universal-pathlib that they cannot work with.
    """
    if type(error).__name__ != "_IncompatibleProtocolError":
        return None
    airflow, library = (
        importlib.metadata.version(name) for name in ("apache-airflow", "universal-pathlib")
    )
    return (
        f"Airflow {airflow} cannot open URLs with universal-pathlib {library}; "
        "pip install 'universal-pathlib<0.3', as Airflow's own constraints do"
    )
