"""The cells: an Airflow, a Python, and the versions of everything else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One Airflow on one Python.

    :param airflow: its line, as a user names it; ``lowest`` is the lowest version of everything that pyproject.toml allows.
    :param python: its minor version.
    :param constraints: file in ``.ci`` with exact versions.
    """

    airflow: str
    python: str
    constraints: str

    @property
    def name(self) -> str:
        return f"{self.airflow}-py{self.python}"


CELLS = (
    Cell("lowest", "3.11", "constraints-airflow-lowest.txt"),
    Cell("2.11", "3.11", "constraints-airflow-2.11.txt"),
    Cell("2.11", "3.12", "constraints-airflow-2.11.txt"),
    Cell("3.0", "3.11", "constraints-airflow-3.0.txt"),
    Cell("3.0", "3.12", "constraints-airflow-3.0.txt"),
    Cell("3.1", "3.12", "constraints-airflow-3.1.txt"),
    Cell("3.2", "3.12", "constraints-airflow-3.2.txt"),
    Cell("3.3", "3.11", "constraints.txt"),
    Cell("3.3", "3.13", "constraints.txt"),
    Cell("3.4", "3.11", "constraints-airflow-3.4.txt"),
    Cell("3.4", "3.13", "constraints-airflow-3.4.txt"),
)
