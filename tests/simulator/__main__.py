"""``python -m simulator`` serves the simulator on this machine; run it in the folder ``tests``."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from airflow_provider_we360.sandbox import __main__ as sandbox_command
from simulator.app import Simulator
from simulator.config import SimulatorConfig
from simulator.server import SimulatorServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        simulator = Simulator(_read_config(options))
        if options.faults:
            simulator.faults.load(json.loads(options.faults.read_text()))
        server = SimulatorServer(simulator, options.host, options.port, verbose=options.verbose)
    except (OSError, ValueError, TypeError) as error:
        print(f"The simulator cannot start: {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(sandbox_command.ready_line(server.url, simulator.config), flush=True)
    with contextlib.suppress(KeyboardInterrupt), server:
        server.serve_forever()
    return 0


def build_parser() -> argparse.ArgumentParser:
    """Return the sandbox's parser with two more options."""
    parser = sandbox_command.build_parser("python -m simulator")
    parser.add_argument(
        "--faults",
        type=Path,
        metavar="FILE",
        help="a JSON list of faults; GET /_simulator/faults has their names",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="a JSON object of fields of SimulatorConfig"
    )
    # An option of the command line wins over the file, so a default must not count as given.
    parser.set_defaults(employees=None, seed=None, timezone=None)
    return parser


def _read_config(options: argparse.Namespace) -> SimulatorConfig:
    """Return the file's configuration, changed by the options that are given."""
    fields = json.loads(options.config.read_text()) if options.config else {}
    given = {name: getattr(options, name) for name in ("employees", "seed", "timezone", "today")}
    return SimulatorConfig.from_json(
        fields | {name: value for name, value in given.items() if value is not None}
    )


if __name__ == "__main__":
    sys.exit(main())
