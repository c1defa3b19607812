"""``python -m airflow_provider_we360``: the command ``check``, and the way to the others."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_we360 import __version__
from airflow_provider_we360._compat import find_connection
from airflow_provider_we360.cli.check import Outcome, Step, has_passed, run_steps
from airflow_provider_we360.cli.example import list_examples, read_example
from airflow_provider_we360.cli.probe import build_fingerprint
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.hooks.connection_test import ConnectionTest, hosts_to_allow
from airflow_provider_we360.hooks.connections import get_connection
from airflow_provider_we360.transport.proxy import find_proxy

PASSED, FAILED = 0, 1


def _print(line: str) -> None:
    # Flushed, because a step can take its full time-out and a person watches.
    print(line, flush=True)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands. ``run`` of its result does what was requested."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_we360")
    commands = parser.add_subparsers(title="commands", required=True)
    for name, help_text, add, run in (
        ("check", "test a Connection, step by step", _add_check_arguments, check),
        ("example", "list the example Dags, or print one", _add_example_arguments, print_example),
        ("dbt-source", "print a dbt source for a table", _add_dbt_arguments, print_dbt_source),
    ):
        command = commands.add_parser(
            name, help=help_text, description=f"{help_text}.".capitalize()
        )
        add(command)
        command.set_defaults(run=run)
    return parser


def _add_check_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("conn_id", help="ID of the Connection, of type we360")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--probe",
        action="store_true",
        help="also send about twenty small requests and print a fingerprint of how this tenant's "
        "API answers: names, formats and limits, never a value of a row. Attach it to an issue",
    )


def _add_example_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        nargs="?",
        help="the example to print, such as postgres; without it, the examples are listed",
    )


def _add_dbt_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", required=True, help="the table, as the operator names it")
    parser.add_argument(
        "--report", default="dynamic_report", help="the report. Default: %(default)s"
    )
    parser.add_argument("--mode", default="detailed", help="its mode. Default: %(default)s")
    parser.add_argument(
        "--columns", default="", help="names with commas. Default: the mode's own list"
    )
    parser.add_argument(
        "--load-log-table", help="the load log; freshness is then measured on it, every day"
    )


def print_dbt_source(arguments: argparse.Namespace, out: Callable[[str], object] = _print) -> int:
    """Print the ``sources.yml`` of a table. Return 0."""
    from airflow_provider_we360.cli.dbt_source import build_dbt_source

    columns = [name.strip() for name in arguments.columns.split(",") if name.strip()]
    out(
        build_dbt_source(
            arguments.table,
            report=arguments.report,
            mode=arguments.mode,
            columns=columns,
            load_log_table=arguments.load_log_table,
        )
    )
    return PASSED


def print_example(arguments: argparse.Namespace, out: Callable[[str], object] = _print) -> int:
    """Print an example Dag, or the list of all. Return 0."""
    out(read_example(arguments.name).rstrip("\n") if arguments.name else list_examples())
    return PASSED


def check(arguments: argparse.Namespace, out: Callable[[str], object] = _print) -> int:
    """Run the check. Return 0 if every step passed, 1 if one failed."""
    with _silence_logs():
        return _check(arguments, out)


@contextmanager
def _silence_logs() -> Iterator[None]:
    """Keep log lines out of the output: Airflow 2.11 writes its own to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _check(arguments: argparse.Namespace, out: Callable[[str], object]) -> int:
    seen: list[We360Settings] = []
    fingerprints: list[dict[str, Any]] = []

    def open_test(settings: We360Settings) -> ConnectionTest:
        seen.append(settings)
        return ConnectionTest(settings, clock=time.time, sleep=time.sleep)

    def probe(test: ConnectionTest) -> None:
        fingerprints.append(build_fingerprint(test))

    steps: list[Step] = []
    if not arguments.json:
        out(f"We360 Connection {arguments.conn_id!r}, provider {__version__}")
    for step in run_steps(
        lambda: _find_connection(arguments.conn_id),
        open_test,
        clock=time.time,
        **({"after_report": probe} if arguments.probe else {}),
    ):
        steps.append(step)
        if not arguments.json:
            out(step.line())
    # JSON is printed once, at the end: a script reads one object.
    if arguments.json:
        out(_to_json(arguments.conn_id, steps, seen, fingerprints))
        return PASSED if has_passed(steps) else FAILED
    out(_summarize(steps, seen))
    if fingerprints:
        out("\nFingerprint of this tenant's API, without any value of a row. Read it, then attach")
        out("it to your issue:\n")
        out(json.dumps(fingerprints[0], indent=2))
    return PASSED if has_passed(steps) else FAILED


def _find_connection(conn_id: str) -> Any:
    return get_connection(
        conn_id,
        "CONN_ID",
        "one of type we360",
        conn_type="we360",
        find=find_connection,
        hint="run this with the deployment's own settings (AIRFLOW_HOME, secrets backend), or set "
        f"environment variable AIRFLOW_CONN_{conn_id.upper()}",
    )


def _to_json(
    conn_id: str,
    steps: Sequence[Step],
    seen: Sequence[We360Settings],
    fingerprints: Sequence[dict[str, Any]],
) -> str:
    result = {
        "conn_id": conn_id,
        "provider": __version__,
        "passed": has_passed(steps),
        "hosts_to_allow": hosts_to_allow(seen[0]) if seen else (),
        "steps": [step.facts() for step in steps],
    }
    return json.dumps(result | ({"fingerprint": fingerprints[0]} if fingerprints else {}), indent=2)


def _summarize(steps: Sequence[Step], seen: Sequence[We360Settings]) -> str:
    failed = next((step for step in steps if step.outcome is Outcome.FAILED), None)
    if failed is None:
        return "Everything that a load needs works from this machine."
    if not seen or failed.name not in ("names", "API host", "login server"):
        return f"Failed at: {failed.name}."
    # Only for the steps before the login: what follows is no matter of the network.
    settings = seen[0]
    hosts = " and ".join(hosts_to_allow(settings))
    proxy = find_proxy(settings, settings.api_url) or find_proxy(settings, settings.auth_url)
    via = f"through {proxy} " if proxy else ""
    return (
        f"Failed at: {failed.name}. For the network team: allow HTTPS from the Airflow workers "
        f"{via}to {hosts}."
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m airflow_provider_we360 COMMAND ...`` and return its exit code.

    Standard output holds the result and nothing else, so that it can be redirected into a file.
    """
    parsed = build_parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except We360ConfigError as error:
        print(error, file=sys.stderr)
        return FAILED


def airflow_check(arguments: argparse.Namespace) -> None:
    """Run ``airflow we360 check CONN_ID``. Airflow takes the exit code from the exception."""
    if code := check(arguments):
        raise SystemExit(code)
