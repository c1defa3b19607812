"""``python -m simulator``: the sandbox on this machine."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from simulator.app import Simulator
from simulator.config import SimulatorConfig
from simulator.server import SimulatorServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is told to stop (Ctrl-C, or SIGTERM)."""
    asked = make_parser().parse_args(arguments)
    try:
        sandbox = Simulator(_config(asked))
        if asked.faults:
            sandbox.faults.load(json.loads(asked.faults.read_text()))
        server = SimulatorServer(sandbox, asked.host, asked.port, verbose=asked.verbose)
    except (OSError, ValueError, TypeError) as wrong:
        print(f"The sandbox cannot start: {wrong}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config = sandbox.config
    facts = f"customer_id={config.customer_id} login={config.login} password={config.password}"
    print(f"We360 sandbox ready on {server.url}  {facts}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    return 0


def make_parser() -> argparse.ArgumentParser:
    """What the sandbox takes on its command line."""
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A stand-in for the We360.ai API with a made-up company, for demos and tests.",
    )
    parser.add_argument(
        "--port", type=int, default=8360, help="0 takes a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="this machine alone, unless you name another (default: %(default)s)",
    )
    parser.add_argument("--employees", type=_positive, help="people in the company (default: 50)")
    parser.add_argument("--seed", type=int, help="another seed, another company (default: 360)")
    parser.add_argument(
        "--today",
        type=dt.date.fromisoformat,
        help="the local day it is, YYYY-MM-DD (default: the clock's)",
    )
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="a JSON list of what goes wrong; GET /_simulator/faults has names",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a JSON object of switches of SimulatorConfig"
    )
    parser.add_argument(
        "--verbose", action="store_true", help="one line for each request, on standard error"
    )
    return parser


def _config(asked: argparse.Namespace) -> SimulatorConfig:
    """The file's switches, and over them what stands on the command line."""
    told = json.loads(asked.config.read_text()) if asked.config else {}
    named = {name: getattr(asked, name) for name in ("employees", "seed", "today")}
    return SimulatorConfig.from_json(
        told | {name: value for name, value in named.items() if value is not None}
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
