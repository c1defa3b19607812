"""``airflow we360 ...`` (Airflow 3.2 and later). Read at every ``airflow`` command, so the command itself is loaded late."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand, GroupCommand, lazy_load_command


def get_we360_cli_commands() -> list[CLICommand]:
    """The commands of this provider."""
    return [
        GroupCommand(
            name="we360",
            help="Try a We360 Connection",
            subcommands=[
                ActionCommand(
                    name="check",
                    help="Try a Connection step by step: names, TLS, login, one row, logout",
                    func=lazy_load_command("airflow_provider_we360.cli.command.airflow_check"),
                    args=tuple(_arguments()),
                )
            ],
        )
    ]


def _arguments() -> Iterator[Arg]:
    arg: Callable[..., Arg] = Arg
    yield arg(("conn_id",), help="id of the Connection, of type we360")
    yield arg(("--json",), action="store_true", help="print one JSON object")
    yield arg(("--probe",), action="store_true", help="also print a fingerprint of the tenant's API; no value of a row")
