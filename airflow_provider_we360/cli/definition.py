"""Definition of ``airflow we360 ...`` (Airflow 3.2 and later).

Airflow reads it at every command, so the command itself is imported late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.cli.cli_config import Arg, CLICommand


def get_we360_cli_commands() -> list[CLICommand]:
    """Return the commands of this provider."""
    from airflow.cli.cli_config import ActionCommand, GroupCommand, lazy_load_command

    return [
        GroupCommand(
            name="we360",
            help="Test a We360 Connection",
            subcommands=[
                ActionCommand(
                    name="check",
                    help="Test a Connection step by step: names, TLS, login, one row, logout",
                    func=lazy_load_command("airflow_provider_we360.cli.command.airflow_check"),
                    args=tuple(_build_arguments()),
                )
            ],
        )
    ]


def _build_arguments() -> Iterator[Arg]:
    from airflow.cli import cli_config

    arg: Callable[..., Arg] = cli_config.Arg
    yield arg(("conn_id",), help="ID of the Connection, of type we360")
    yield arg(("--json",), action="store_true", help="print one JSON object")
    yield arg(
        ("--probe",),
        action="store_true",
        help="also print a fingerprint of the tenant's API, without any value of a row",
    )
