"""The sandbox itself: one WSGI callable that joins company, identity side, report API, faults and request_log."""

from __future__ import annotations

import datetime as dt
import email.utils
import hashlib
import json
import re
import time
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.types import Clock, Sleep
from simulator.admin import Admin
from simulator.company import Company
from simulator.config import Account, BruteForce, SimulatorConfig
from simulator.faults import FaultPlan, Rule
from simulator.http import Answer, Request, Wire, json_answer
from simulator.identity import Identity
from simulator.report_api import ReportApi
from simulator.request_log import DataRequest, RequestLog

__all__ = ["Account", "BruteForce", "Simulator", "SimulatorConfig"]

StartResponse: TypeAlias = Callable[..., Any]
_IDENTITY = re.compile(r"/realms/([^/]+)/protocol/openid-connect/(token|logout|revoke)")
_UNDER_WAY = {"login": "login", "refresh": "refresh", "report": "report"}


class Simulator:
    """We360 for tests and demos: ``httpx.WSGITransport(sandbox)`` in process, or behind ``server.serve``.

    :param clock: epoch seconds; also tells today, unless the configuration does.
    :param sleep: waits, where something takes time.
    :param company: whose rows are told; None: the one that the configuration describes.
    """

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        company: Company | None = None,
    ) -> None:
        self.config = config = config or SimulatorConfig()
        self.clock = clock
        self.sleep = sleep
        self.fixed_today = config.today
        self.company = company or Company(
            seed=config.seed,
            employees=config.employees,
            today=lambda: self.today,
            mail_domain=config.mail_domain,
            night_rows_on=config.night_rows_on,
        )
        self.request_log = RequestLog()
        self.identity = Identity(config, self.request_log, clock, sleep)
        self.request_log.live_sessions = lambda: self.identity.sessions.live(self.identity.now())
        self.faults = FaultPlan(config.seed)
        self._api = ReportApi(self.company, self.identity.holder_of)
        self._admin = Admin(self)

    @property
    def today(self) -> dt.date:
        """The company's local day. Rows are told as they stand on it."""
        zone = zoneinfo.ZoneInfo(self.config.timezone)
        return self.fixed_today or dt.datetime.fromtimestamp(self.clock(), zone).date()

    def __call__(
        self, environ: Mapping[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request.from_environ(environ)
        answer = self.answer(request)
        if answer.delay_s:
            self.sleep(answer.delay_s)
        if answer.wire:
            _play(answer.wire, request)
        date = email.utils.formatdate(self.identity.now(), usegmt=True)
        own = [("Date", date), ("X-Request-Id", str(uuid.uuid4()))]
        own += [] if answer.status == 204 else [("Content-Length", str(len(answer.body)))]
        given = {name.lower() for name, _ in answer.headers}
        headers = [*answer.headers, *(pair for pair in own if pair[0].lower() not in given)]
        start_response(f"{answer.status} {_phrase(answer.status)}", headers)
        return [answer.body]

    def answer(self, request: Request) -> Answer:
        """The answer to a request, faults included, told to the request_log."""
        identity_call = _IDENTITY.fullmatch(request.path)
        if request.path == "/" or request.path.startswith("/_simulator/"):
            return self._admin.answer(request)
        kind = self._kind(request, identity_call)
        if kind is None:
            return json_answer(
                404, {"status": False, "message": "Not found", "error_code": "NOT_FOUND"}
            )
        self._note_sent(kind, request)
        with self.request_log.under_way(_UNDER_WAY.get(kind, "other")):
            asked = _body(request) if kind == "report" else {}
            rule = self.faults.take(
                kind, page=asked.get("page"), day=str(asked.get("start_date") or "")
            )
            answer = self._played(request, kind, identity_call, rule)
        if kind == "report":
            self._note_report(request, asked, answer, rule)
        return answer

    @staticmethod
    def _kind(request: Request, identity_call: re.Match[str] | None) -> str | None:
        if identity_call:
            grant = request.form().get("grant_type", [""])[0] if identity_call[2] == "token" else ""
            return {"password": "login", "refresh_token": "refresh"}.get(grant, identity_call[2])
        return "report" if request.path == REPORT.path else None

    def _played(
        self, request: Request, kind: str, identity_call: re.Match[str] | None, rule: Rule | None
    ) -> Answer:
        if rule is None:
            return self._carried_out(request, identity_call, self.config)
        self.request_log.count("faults_played")
        effect = rule.effect
        if effect.before:
            effect.before(self.identity)
        if effect.instead:
            answer = effect.instead(self.identity)
            self._note_refusal(kind, answer)
            return answer
        answer = self._carried_out(request, identity_call, replace(self.config, **effect.variant))
        return effect.after(answer.unpacked(), self.identity) if effect.after else answer

    def _carried_out(
        self, request: Request, identity_call: re.Match[str] | None, config: SimulatorConfig
    ) -> Answer:
        if identity_call:
            return self.identity.answer(request, identity_call[1], identity_call[2])
        return self._api.answer(request, config)

    def _note_sent(self, kind: str, request: Request) -> None:
        if kind in {"login", "refresh"}:
            self.request_log.count(f"{kind}s_sent" if kind == "login" else "refreshes_sent")
        if kind == "refresh" and (token := request.form().get("refresh_token", [""])[0]):
            self.request_log.refresh_token_sent(hashlib.sha256(token.encode()).hexdigest())

    def _note_refusal(self, kind: str, answer: Answer) -> None:
        """A refusal at will counts as one: a client must mind it like a real one."""
        if 400 <= answer.status < 500 and answer.status != 429 and answer.wire is None:
            if kind == "login":
                self.request_log.login(ok=False, at=self.clock())
            elif kind == "refresh":
                self.request_log.count("refreshes_refused")

    def _note_report(
        self, request: Request, asked: dict[str, Any], answer: Answer, rule: Rule | None
    ) -> None:
        columns = asked.get("columns")
        self.request_log.data_request(
            DataRequest(
                at=self.clock(),
                start_date=asked.get("start_date"),
                end_date=asked.get("end_date"),
                mode=asked.get("mode"),
                page=asked.get("page"),
                limit=asked.get("limit"),
                columns=len(columns) if isinstance(columns, list) else 0,
                tenant_header=request.headers.get("x-tenant-id"),
                status=answer.status,
                rows=answer.facts.get("rows"),
                fault=rule.fault if rule else None,
            )
        )


def _body(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _play(wire: Wire, request: Request) -> None:
    """Leaves the fault to the server; in process, where there is no wire, raises what a client would have seen."""
    if request.wire is not None:
        request.wire["plan"] = wire
        return
    import httpx

    if wire.kind == "not_http":
        raise httpx.RemoteProtocolError("the sandbox answered with what is no HTTP")
    if wire.kind == "cut_off":
        raise httpx.RemoteProtocolError(
            "the sandbox closed the connection before the whole answer was sent"
        )
    if wire.kind != "drip":
        raise httpx.ReadError("the sandbox dropped the connection")


def _phrase(status: int) -> str:
    import http

    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
