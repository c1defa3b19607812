"""The sandbox: one WSGI application that answers as We360's login server and API."""

from __future__ import annotations

import datetime as dt
import json
import re
import time
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.sandbox.company import Company
from airflow_provider_we360.sandbox.config import SandboxConfig
from airflow_provider_we360.sandbox.http import (
    Request,
    Response,
    StartResponse,
    send,
    text_response,
)
from airflow_provider_we360.sandbox.keycloak import Keycloak
from airflow_provider_we360.sandbox.report_api import answer_report, error_response
from airflow_provider_we360.types import Clock

_PAGE = """We360 sandbox
=============

A stand-in for the We360.ai API with a made-up company of {employees} people.
Time zone {timezone}, today is {today}. Nothing here is real, and nothing leaves this machine.

Create an Airflow Connection to it:

  airflow connections add we360_default --conn-json '{connection}'

Then try it:

  python -m airflow_provider_we360 check we360_default

All accounts have the password {password}:

{accounts}
"""


class Sandbox:
    """We360 for demos and first steps: ``httpx.WSGITransport(sandbox)``, or behind ``serve``.

    :param clock: epoch seconds. It also sets today, unless the configuration does.
    """

    def __init__(self, config: SandboxConfig | None = None, *, clock: Clock = time.time) -> None:
        self.config = config = config or SandboxConfig()
        self.clock = clock
        self.company = build_company(config, lambda: self.today)
        self.keycloak = Keycloak(config, clock)
        self._calls = re.compile(f"/realms/{config.realm}/protocol/openid-connect/(token|logout)")

    @property
    def today(self) -> dt.date:
        """The company's local day."""
        # The tenant's day, not the machine's: at 20:00 UTC it is already tomorrow in India.
        zone = zoneinfo.ZoneInfo(self.config.timezone)
        return self.config.today or dt.datetime.fromtimestamp(self.clock(), zone).date()

    def __call__(
        self, environ: Mapping[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        return send(self.answer(Request.from_environ(environ)), start_response, self.clock())

    def answer(self, request: Request) -> Response:
        """Return the answer to a request."""
        if call := self._calls.fullmatch(request.path):
            return self.keycloak.answer(request, call[1])
        if request.path == REPORT.path:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            is_bearer = scheme.lower() == "bearer"
            account = self.keycloak.account_of(token.strip()) if is_bearer else None
            return answer_report(request, self.company, account, self.config.customer_id)
        if request.path == "/":
            return text_response(200, describe(self.config, self.today, request.base_url))
        return error_response(404, "Not found", "NOT_FOUND")


def build_company(config: SandboxConfig, today: Callable[[], dt.date], **options: Any) -> Company:
    """Return the company that the configuration describes."""
    return Company(
        seed=config.seed,
        employees=config.employees,
        timezone=config.timezone,
        mail_domain=config.mail_domain,
        today=today,
        **options,
    )


def describe(config: SandboxConfig, today: dt.date, base_url: str) -> str:
    """Return the front page: how to connect, and which account sees whom."""
    connection = {
        "conn_type": "we360",
        "host": base_url,
        "login": config.login,
        "password": config.password,
        "extra": {"customer_id": config.customer_id, "auth_url": base_url, "allow_http": True},
    }
    accounts = (
        f"  {account.login}  sees {'everyone' if account.sees is None else ', '.join(account.sees)}"
        for account in config.accounts().values()
    )
    return _PAGE.format(
        employees=config.employees,
        timezone=config.timezone,
        today=today,
        connection=json.dumps(connection),
        password=config.password,
        accounts="\n".join(accounts),
    )
