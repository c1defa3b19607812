from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package(root: Path) -> Path:
    return root / "airflow_provider_we360"
