"""The simulator's own pages: its request log and the plan of faults. None of this is We360's."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from airflow_provider_we360.sandbox.app import describe
from airflow_provider_we360.sandbox.http import Request, Response, json_response, text_response
from simulator.faults import FAULTS

if TYPE_CHECKING:
    from simulator.app import Simulator

_PAGES = """
GET  /_simulator/requests   logins, refreshes, live sessions, data requests
GET  /_simulator/faults     the plan of faults, and the names of all faults
POST /_simulator/faults     add rules: [{"match": "report", "fault": "http_503", "times": 1}]
DELETE /_simulator/faults   remove all faults from the plan
POST /_simulator/today      set the day: {"today": "2026-04-08"}; recent rows change with it
"""


def is_admin(request: Request) -> bool:
    return request.path == "/" or request.path.startswith("/_simulator/")


def answer_admin(simulator: Simulator, request: Request) -> Response:
    """Answer ``/`` and everything under ``/_simulator/``."""
    try:
        match request.method, request.path:
            case "GET", "/":
                page = describe(simulator.config, simulator.today, request.base_url)
                return text_response(200, page + _PAGES)
            case "GET", "/_simulator/requests":
                return json_response(200, simulator.request_log.snapshot())
            case "GET", "/_simulator/faults":
                return _list_faults(simulator)
            case "POST", "/_simulator/faults":
                plan: Any = json.loads(request.body)
                simulator.faults.load([plan] if isinstance(plan, dict) else plan)
                return _list_faults(simulator)
            case "DELETE", "/_simulator/faults":
                simulator.faults.clear()
                return Response(204)
            case "POST", "/_simulator/today":
                day = json.loads(request.body)["today"]
                simulator.fixed_today = dt.date.fromisoformat(day) if day else None
                return json_response(200, {"today": simulator.today.isoformat()})
    except (ValueError, TypeError, KeyError) as error:
        return json_response(400, {"error": str(error)})
    return text_response(404, "The simulator has no such page; GET / lists all pages\n")


def _list_faults(simulator: Simulator) -> Response:
    names = {name: fault.number for name, fault in sorted(FAULTS.items())}
    return json_response(200, {"plan": simulator.faults.as_json(), "names": names})
