"""The sandbox's own pages: what it is, its request_log, and the plan of faults. None of this is We360's."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from simulator.faults import FAULTS
from simulator.http import Answer, Request, json_answer, text_answer

if TYPE_CHECKING:
    from simulator.app import Simulator

_PAGE = """We360 sandbox
=============

A stand-in for the We360.ai API, with a made-up company: {employees} people, {timezone}, today is {today}.
Nothing here is real, and nothing leaves this machine.

Make an Airflow Connection to it:

  airflow connections add we360_default --conn-json '{connection}'

Then try it:

  python -m airflow_provider_we360 check we360_default

GET  /_simulator/requests   what was asked: logins, refreshes, live sessions, data requests
GET  /_simulator/faults   the plan of faults, and the names of all there are
POST /_simulator/faults   [{{"match": "report", "fault": "http_503", "times": 1, "retry_after": "2"}}]
DELETE /_simulator/faults nothing goes wrong any more
POST /_simulator/today    {{"today": "2026-04-08"}}: rows of the last seven days are restated from day to day
"""


class Admin:
    """Answers ``/`` and everything under ``/_simulator/``."""

    def __init__(self, sandbox: Simulator) -> None:
        self._sandbox = sandbox

    def answer(self, request: Request) -> Answer:
        """The page, or 400 with what is wrong about the request."""
        routes = {
            ("GET", "/"): self._page,
            ("GET", "/_simulator/requests"): lambda _: json_answer(
                200, self._sandbox.request_log.snapshot()
            ),
            ("GET", "/_simulator/faults"): self._faults,
            ("POST", "/_simulator/faults"): self._add_faults,
            ("DELETE", "/_simulator/faults"): self._clear_faults,
            ("POST", "/_simulator/today"): self._set_today,
        }
        route = routes.get((request.method, request.path))
        if route is None:
            return text_answer(404, "The sandbox has no such page; GET / tells which there are\n")
        try:
            return route(request)
        except (ValueError, TypeError, KeyError) as wrong:
            return json_answer(400, {"error": str(wrong)})

    def _page(self, request: Request) -> Answer:
        config = self._sandbox.config
        base = f"{request.scheme}://{request.headers.get('host', '127.0.0.1:8360')}"
        connection = {
            "conn_type": "we360",
            "host": base,
            "login": config.login,
            "password": config.password,
            "extra": {"customer_id": config.customer_id, "auth_url": base, "allow_http": True},
        }
        return text_answer(
            200,
            _PAGE.format(
                employees=config.employees,
                timezone=config.timezone,
                today=self._sandbox.today,
                connection=json.dumps(connection),
            ),
        )

    def _faults(self, _: Request) -> Answer:
        names = {name: fault.number for name, fault in sorted(FAULTS.items())}
        return json_answer(200, {"plan": self._sandbox.faults.told(), "names": names})

    def _add_faults(self, request: Request) -> Answer:
        plan: Any = json.loads(request.body)
        self._sandbox.faults.load([plan] if isinstance(plan, dict) else plan)
        return self._faults(request)

    def _clear_faults(self, _: Request) -> Answer:
        self._sandbox.faults.clear()
        return Answer(204)

    def _set_today(self, request: Request) -> Answer:
        told = json.loads(request.body)["today"]
        self._sandbox.fixed_today = dt.date.fromisoformat(told) if told else None
        return json_answer(200, {"today": self._sandbox.today.isoformat()})
