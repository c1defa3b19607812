"""The examples that raise an alarm: a mail about a failed load, and one about a load that is late."""

from __future__ import annotations

import datetime as dt
import json
import quopri
import smtplib
from base64 import b64decode
from email import message_from_string

import pytest

from support.airflow_line import since


@pytest.fixture
def sent(monkeypatch):
    """Return the mails that were handed to an SMTP server."""
    mails = []

    class Server:
        """As much of smtplib.SMTP as Airflow's hook uses."""

        def __init__(self, *_, **__):
            pass

        def sendmail(self, from_addr, to_addrs, msg, **_):
            mails.append(message_from_string(msg))

        def __getattr__(self, name):
            assert hasattr(smtplib.SMTP, name)
            return lambda *_, **__: None

    monkeypatch.setattr(smtplib, "SMTP", Server)
    monkeypatch.setattr(smtplib, "SMTP_SSL", Server)
    connection = {"conn_type": "smtp", "host": "localhost", "extra": {"disable_tls": True}}
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(connection))
    return mails


@pytest.mark.usefixtures("airflow_db", "duckdb_file")
def test_a_failed_load_sends_what_to_do(example, sandbox, sent):
    sandbox.faults.add("report", "http_403", times=9)
    assert example("we360_failure_mail").test().state == "failed"
    (mail,) = sent
    assert mail["Subject"] == "We360: load has failed"
    (part,) = [one for one in mail.walk() if one.get_content_type() == "text/html"]
    decode = {"base64": b64decode, "quoted-printable": quopri.decodestring}
    raw = part.get_payload()
    text = decode.get(part["Content-Transfer-Encoding"], str.encode)(raw).decode()
    assert "What to do: have a We360 administrator" in text
    assert "errors.html#airflow_provider_we360.errors.AccessDenied" in text
    sandbox.faults.clear()
    assert example("we360_failure_mail").test().state == "success"
    assert len(sent) == 1


@since((3, 1), "DeadlineAlert")
@pytest.mark.usefixtures("airflow_db", "sandbox", "duckdb_file")
def test_the_deadline_is_an_hour_after_noon(example):
    dag = example("we360_deadline")
    (alert,) = dag.deadline if isinstance(dag.deadline, list) else [dag.deadline]
    assert alert.interval == dt.timedelta(hours=1)
    assert alert.callback.path == "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
    # dag.test() of Airflow 3.3 cannot close a run that has a deadline; the scheduler can.
    dag.deadline = None
    assert dag.test().state == "success"
