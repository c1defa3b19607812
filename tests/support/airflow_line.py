"""Which Airflow the tests run on, and what of it has moved between the lines that are supported."""

from __future__ import annotations

import importlib.metadata
import re

import pytest

AIRFLOW = tuple(int(part) for part in importlib.metadata.version("apache-airflow").split(".")[:2])


_AIRFLOW_AT_DEBUG = re.compile(
    r"^.*\[debug +\].*\b(?:MaskSecret|ConnectionResult)\(.*$", re.MULTILINE
)


def without_debug_of_3_0(text: str) -> str:
    """What a test run has printed, without the lines that Airflow 3.0 prints at DEBUG whatever the log level.

    They hold each secret that Airflow is asked to mask, or hands to a task (SECURITY.md). Neither 2.11 nor 3.3 prints them.
    """
    return _AIRFLOW_AT_DEBUG.sub("", text) if AIRFLOW[:2] == (3, 0) else text


def since(version: tuple[int, int], reason: str) -> pytest.MarkDecorator:
    """Leave the test out below this Airflow; the reason names what is missing there."""
    return pytest.mark.only_if(version <= AIRFLOW, reason=reason)


def before(version: tuple[int, int], reason: str) -> pytest.MarkDecorator:
    """Leave the test out from this Airflow on; the reason names what changed."""
    return pytest.mark.only_if(version > AIRFLOW, reason=reason)
