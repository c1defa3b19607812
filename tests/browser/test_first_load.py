"""A person runs the example Dag for the first time in Airflow's UI, and reads what came of it."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo

import duckdb
import pytest

pytestmark = pytest.mark.browser

DAY = dt.timedelta(days=1)


def test_the_example_dag_turns_green_and_logs_what_it_loaded(
    pages, sandbox, we360, warehouse, picture
):
    form = pages.add_connection()
    form.choose_type("We360")
    form.name("we360_default")
    form.fill(
        {"API URL": we360, "E-mail": sandbox.config.login, "Password": sandbox.config.password},
        {"customer_id": sandbox.config.customer_id},
        {"auth_url": we360, "allow_http": True},
    )
    form.save()
    dialog = pages.open_trigger("we360_to_duckdb")
    assert "First day; empty: yesterday" in dialog.inner_text()
    picture("trigger-dag", dialog)
    yesterday = dt.datetime.now(zoneinfo.ZoneInfo("Asia/Kolkata")).date() - DAY
    pages.trigger(dialog)
    pages.wait_until_green()
    # As wide as the longest line of the log, and as high as all of them: Airflow does not wrap.
    pages.resize(1440, 800)
    log = pages.open_task("load")
    pages.wait_until_green()
    log.get_by_text("Loaded").wait_for()
    picture("task-log", pages.whole)
    # What was unpaused also runs once by its schedule, for other days: these are the triggered run's.
    found = re.search(
        r"Window: (\S+) to (\S+) .*Loaded ([\d,]+) rows for (\d+) days", log.inner_text(), re.DOTALL
    )
    assert found is not None
    days = [dt.date.fromisoformat(day) for day in found.groups()[:2]]
    assert days == [yesterday - 7 * DAY, yesterday]
    truth = sandbox.company.rows(*days, "detailed")
    assert found.groups()[2:] == (f"{len(truth):,}", "8")
    with duckdb.connect(str(warehouse), read_only=True) as database:
        landed = database.execute(
            "SELECT count(*) FROM we360_days WHERE attendance_date BETWEEN ? AND ?", days
        ).fetchone()
    assert landed == (len(truth),)
