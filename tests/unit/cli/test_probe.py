"""The fingerprint: what an answer holds beside its rows, by name."""

from __future__ import annotations

import json
import time

import httpx
import pytest

from airflow_provider_we360.cli.probe import build_fingerprint
from airflow_provider_we360.hooks.connection_test import ConnectionTest
from simulator.app import Simulator, SimulatorConfig
from support.session import settings_for


class Changed(httpx.BaseTransport):
    """The simulator, with other fields around the rows of its reports."""

    def __init__(self, simulator, fields):
        self.inner = httpx.WSGITransport(simulator)
        self.fields = fields

    def handle_request(self, request):
        response = self.inner.handle_request(request)
        response.read()
        body = json.loads(response.content) if response.content else None
        if isinstance(body, dict) and "data" in body:
            return httpx.Response(200, json=body | self.fields, request=request)
        status, kind = response.status_code, response.headers.get("content-type", "")
        headers = {"content-type": kind}
        return httpx.Response(status, headers=headers, content=response.content, request=request)


@pytest.mark.parametrize(
    ("fields", "unknown"),
    [({}, []), ({"frobnicated": 3, "zz\u202easha@example.com": 1}, ["frobnicated", "<e-mail>"])],
)
def test_fields_that_the_client_cannot_judge_are_named(fields, unknown):
    simulator = Simulator(SimulatorConfig(employees=3))
    transport = Changed(simulator, fields)
    with ConnectionTest(
        settings_for(simulator), transport=transport, clock=time.time, sleep=lambda _: None
    ) as test:
        found = build_fingerprint(test)["unknown_fields"]
    assert sorted(name.removeprefix("zz ") for name in found) == sorted(unknown)
