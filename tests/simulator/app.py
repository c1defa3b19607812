"""The simulator: the sandbox with faults, a request log and every state of a Keycloak."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import httpx

from airflow_provider_we360.client.reports.dynamic_report import REPORT
from airflow_provider_we360.sandbox.app import Sandbox, build_company
from airflow_provider_we360.sandbox.company import Company
from airflow_provider_we360.sandbox.http import (
    Request,
    Response,
    StartResponse,
    json_response,
    send,
)
from airflow_provider_we360.types import Clock, Sleep
from simulator.admin import answer_admin, is_admin
from simulator.config import Account, BruteForce, SimulatorConfig
from simulator.fault_effects import SocketFault, unpack
from simulator.faults import FaultPlan, Rule
from simulator.identity import Identity
from simulator.report_api import ReportApi
from simulator.request_log import DataRequest, RequestLog

__all__ = ["Account", "BruteForce", "Simulator", "SimulatorConfig"]

_IDENTITY = re.compile(r"/realms/([^/]+)/protocol/openid-connect/(token|logout|revoke)")


class Simulator(Sandbox):
    """We360 for tests: ``httpx.WSGITransport(simulator)`` in process, or behind ``server.serve``.

    :param clock: epoch seconds. It also sets today, unless the configuration does.
    :param sleep: waits for whatever takes time.
    :param company: whose rows the report holds; by default that of the configuration.
    """

    config: SimulatorConfig

    def __init__(
        self,
        config: SimulatorConfig | None = None,
        *,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        company: Company | None = None,
    ) -> None:
        config = config or SimulatorConfig()
        super().__init__(config, clock=clock)
        self.sleep = sleep
        self.fixed_today = config.today
        self.company = company or build_company(
            config, lambda: self.today, night_rows_on=config.night_rows_on
        )
        self.request_log = RequestLog()
        self.identity = Identity(config, self.request_log, clock, sleep)
        self.request_log.live_sessions = lambda: self.identity.sessions.live(self.identity.now())
        self.faults = FaultPlan(config.seed)
        self._api = ReportApi(self.company, self.identity.account_of)

    @property
    def today(self) -> dt.date:
        """The company's local day; rows are as they stand on it."""
        return self.fixed_today or super().today

    def __call__(
        self, environ: Mapping[str, Any], start_response: StartResponse
    ) -> Iterable[bytes]:
        request = Request.from_environ(environ)
        answer = self.answer(request)
        if delay_s := answer.notes.get("delay_s"):
            self.sleep(delay_s)
        if fault := answer.notes.get("socket_fault"):
            _break_connection(fault, request)
        return send(answer, start_response, self.identity.now())

    def answer(self, request: Request) -> Response:
        """Return the answer, faults included, and write it to the request log."""
        if is_admin(request):
            return answer_admin(self, request)
        call = _IDENTITY.fullmatch(request.path)
        kind = _kind_of(request, call)
        if kind is None:
            return json_response(
                404, {"status": False, "message": "Not found", "error_code": "NOT_FOUND"}
            )
        self._log_tokens_sent(kind, request)
        with self.request_log.in_flight(kind):
            body = _json_object(request.body) if kind == "report" else {}
            day = str(body.get("start_date") or "")
            rule = self.faults.take(kind, page=body.get("page"), day=day)
            answer = self._apply(rule, kind, request, call)
        if kind == "report":
            self._log_report(request, body, answer, rule)
        return answer

    def _apply(
        self, rule: Rule | None, kind: str, request: Request, call: re.Match[str] | None
    ) -> Response:
        """Carry out the request with the rule's fault, if there is one."""
        if rule is None:
            return self._carry_out(request, call, self.config)
        self.request_log.count("faults_played")
        effect = rule.effect
        if effect.before:
            effect.before(self.identity)
        if effect.instead:
            answer = effect.instead(self.identity)
            self._log_refusal(kind, answer)
            return answer
        answer = self._carry_out(request, call, replace(self.config, **effect.variant))
        return effect.after(unpack(answer), self.identity) if effect.after else answer

    def _carry_out(
        self, request: Request, call: re.Match[str] | None, config: SimulatorConfig
    ) -> Response:
        if call:
            return self.identity.answer(request, call[1], call[2])
        return self._api.answer(request, config)

    def _log_tokens_sent(self, kind: str, request: Request) -> None:
        if kind in {"login", "refresh"}:
            self.request_log.count("logins_sent" if kind == "login" else "refreshes_sent")
        if kind == "refresh" and (token := request.form().get("refresh_token", [""])[0]):
            self.request_log.refresh_token_sent(hashlib.sha256(token.encode()).hexdigest())

    def _log_refusal(self, kind: str, answer: Response) -> None:
        """Count a refusal by a fault like a real one: the client must heed it the same way."""
        is_refusal = 400 <= answer.status < 500 and answer.status != 429
        if not is_refusal or "socket_fault" in answer.notes:
            return
        if kind == "login":
            self.request_log.login(ok=False, at=self.clock())
        elif kind == "refresh":
            self.request_log.count("refreshes_refused")

    def _log_report(
        self, request: Request, body: dict[str, Any], answer: Response, rule: Rule | None
    ) -> None:
        columns = body.get("columns")
        self.request_log.data_request(
            DataRequest(
                at=self.clock(),
                start_date=body.get("start_date"),
                end_date=body.get("end_date"),
                mode=body.get("mode"),
                page=body.get("page"),
                limit=body.get("limit"),
                columns=len(columns) if isinstance(columns, list) else 0,
                tenant_header=request.headers.get("x-tenant-id"),
                status=answer.status,
                rows=answer.notes.get("rows"),
                fault=rule.fault if rule else None,
            )
        )


def _kind_of(request: Request, call: re.Match[str] | None) -> str | None:
    """Return the kind of request that rules match, None for an unknown path."""
    if call:
        grant = request.form().get("grant_type", [""])[0] if call[2] == "token" else ""
        return {"password": "login", "refresh_token": "refresh"}.get(grant, call[2])
    return "report" if request.path == REPORT.path else None


def _json_object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _break_connection(fault: SocketFault, request: Request) -> None:
    """Leave the fault to the server; in process, raise what a client would have seen."""
    plan = request.environ.get("simulator.socket_fault")
    if plan is not None:
        plan["fault"] = fault
    elif fault.kind == "not_http":
        raise httpx.RemoteProtocolError("the simulator's answer is not HTTP")
    elif fault.kind == "cut_off":
        raise httpx.RemoteProtocolError(
            "the simulator closed the connection before the whole answer was sent"
        )
    elif fault.kind != "drip":
        raise httpx.ReadError("the simulator dropped the connection")
