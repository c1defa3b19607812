"""``python -m airflow_provider_we360.sandbox`` serves the sandbox on this machine."""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import signal
import socketserver
import sys
from collections.abc import Sequence
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from airflow_provider_we360.sandbox.app import Sandbox
from airflow_provider_we360.sandbox.config import SandboxConfig


class _Handler(WSGIRequestHandler):
    server: SandboxServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Log requests only if the command line says so."""
        if self.server.verbose:
            super().log_message(format, *args)


class SandboxServer(socketserver.ThreadingMixIn, WSGIServer):
    """Serve the sandbox with a thread for each request; threads end with the process."""

    daemon_threads = True

    def __init__(self, sandbox: Sandbox, host: str, port: int, *, verbose: bool = False) -> None:
        self.verbose = verbose
        super().__init__((host, port), _Handler)
        self.set_app(sandbox)

    def server_bind(self) -> None:
        """Bind without looking up the host's full name, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C or SIGTERM, and return the exit code."""
    options = vars(build_parser().parse_args(arguments))
    host, port, verbose = options.pop("host"), options.pop("port"), options.pop("verbose")
    try:
        sandbox = Sandbox(SandboxConfig(**options))
        server = SandboxServer(sandbox, host, port, verbose=verbose)
    except (OSError, KeyError, ValueError) as error:
        print(f"The sandbox cannot start: {error}", file=sys.stderr)
        return 2
    # SIGTERM ends the loop like Ctrl-C, so that the socket is closed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(
        ready_line(f"http://{server.server_name}:{server.server_port}", sandbox.config), flush=True
    )
    with server, contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    return 0


def ready_line(url: str, config: SandboxConfig) -> str:
    """Return the line that says where the sandbox is and how to log in."""
    facts = f"customer_id={config.customer_id} login={config.login} password={config.password}"
    return f"We360 sandbox ready on {url}  {facts}"


def build_parser(prog: str = "python -m airflow_provider_we360.sandbox") -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A stand-in for the We360.ai API with a made-up company, for demos and tests.",
    )
    add = parser.add_argument
    add("--port", type=int, default=8360, help="0 takes a free port (default: %(default)s)")
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--employees", type=_positive, default=50, help="people in the company (default: 50)")
    add("--seed", type=int, default=360, help="another seed makes another company (default: 360)")
    add(
        "--timezone",
        default="Asia/Kolkata",
        help="the company's time zone, such as Europe/Berlin (default: %(default)s)",
    )
    add(
        "--today",
        type=dt.date.fromisoformat,
        help="the company's local day, YYYY-MM-DD (default: by the clock)",
    )
    add("--verbose", action="store_true", help="log each request to standard error")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
