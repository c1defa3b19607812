"""Which Airflow the tests run on, and what of it has moved between the lines that are supported."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


def since(version: tuple[int, int], reason: str) -> pytest.MarkDecorator:
    """Skips below this Airflow; the reason says what is not there."""
    return pytest.mark.skipif(AIRFLOW < version, reason=f"Airflow {'.'.join(map(str, version))} and later: {reason}")


def before(version: tuple[int, int], reason: str) -> pytest.MarkDecorator:
    """Skips from this Airflow on; the reason says what is otherwise there."""
    return pytest.mark.skipif(AIRFLOW >= version, reason=f"before Airflow {'.'.join(map(str, version))}: {reason}")


def xcom_model() -> Any:
    """The table of XComs."""
    from airflow.models import xcom

    return xcom.XComModel if AIRFLOW >= (3, 0) else xcom.XCom
