"""The command ``check``: for a terminal, and with ``--json`` for scripts."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from airflow_provider_we360 import __version__
from airflow_provider_we360._compat import find_connection
from airflow_provider_we360.cli.check import Check
from airflow_provider_we360.cli.checklist import Outcome, Step, has_passed
from airflow_provider_we360.cli.probe import fingerprint
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.connection_test import ConnectionTest, hosts_to_allow

PASSED, FAILED = 0, 1


def _print(line: str) -> None:
    print(line, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``check`` takes."""
    parser.add_argument("conn_id", help="id of the Connection, of type we360")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--probe",
        action="store_true",
        help="also ask some twenty small questions, and print a fingerprint of how this tenant's API answers: names, forms and "
        "caps, never a value of a row. Fit to be sent in with an issue",
    )


def check(asked: argparse.Namespace, out: Callable[[str], object] = _print) -> int:
    """Run the check; 0 where every step passed, 1 where one failed."""
    with _quiet():
        return _checked(asked, out)


@contextmanager
def _quiet() -> Iterator[None]:
    """No log line between those of the checklist, which tells it all; Airflow 2.11 writes its own to standard output."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _checked(asked: argparse.Namespace, out: Callable[[str], object]) -> int:
    seen: list[We360Settings] = []
    prints: list[dict[str, Any]] = []

    def try_out(settings: We360Settings) -> ConnectionTest:
        seen.append(settings)
        return ConnectionTest(settings, clock=time.time, sleep=time.sleep)

    def probe(trial: ConnectionTest) -> None:
        prints.append(fingerprint(trial))

    walk = Check(
        lambda: find_connection(asked.conn_id),
        try_out,
        clock=time.time,
        **({"also": probe} if asked.probe else {}),
    )
    steps: list[Step] = []
    if not asked.json:
        out(f"We360 Connection {asked.conn_id!r}, provider {__version__}")
    for step in walk.steps():
        steps.append(step)
        if not asked.json:
            out(step.line())
    passed = has_passed(steps)
    hosts = hosts_to_allow(seen[0]) if seen else ()
    if asked.json:
        told = {
            "conn_id": asked.conn_id,
            "provider": __version__,
            "passed": passed,
            "hosts_to_allow": hosts,
        }
        told |= {"steps": [step.facts() for step in steps]}
        out(json.dumps(told | ({"fingerprint": prints[0]} if prints else {}), indent=2))
        return PASSED if passed else FAILED
    for line in _verdict(steps, hosts):
        out(line)
    if prints:
        out(
            "\nFingerprint of this tenant's API. It holds no value of a row; read it, then send it in with your issue:\n"
        )
        out(json.dumps(prints[0], indent=2))
    return PASSED if passed else FAILED


def _verdict(steps: list[Step], hosts: Sequence[str]) -> list[str]:
    failed = next((step for step in steps if step.outcome is Outcome.FAILED), None)
    if failed is None:
        return ["All that a load needs works from this machine."]
    if failed.name in ("names", "API host", "login server"):
        return [
            f"Stopped at: {failed.name}. For the network team: allow HTTPS from the Airflow workers to {' and '.join(hosts)}."
        ]
    return [f"Stopped at: {failed.name}."]


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m airflow_provider_we360 check CONN_ID``."""
    parser = argparse.ArgumentParser(prog="python -m airflow_provider_we360")
    commands = parser.add_subparsers(title="commands", required=True)
    command = commands.add_parser(
        "check", help="try a Connection, step by step", description=__doc__
    )
    add_arguments(command)
    command.set_defaults(run=check)
    asked = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = asked.run
    return run(asked)


def airflow_check(asked: argparse.Namespace) -> None:
    """``airflow we360 check CONN_ID``: Airflow takes the exit code from the exception."""
    if code := check(asked):
        raise SystemExit(code)
