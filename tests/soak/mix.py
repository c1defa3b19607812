"""One mix: a company, some days, a sequence of loads with faults, drift and aborts, all from one seed."""

from __future__ import annotations

import datetime as dt
import random
import shutil
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_we360.errors import AuthUnavailable, EmptyDayRefused, We360Error
from simulator.app import SimulatorConfig
from soak import targets
from soak.company import DriftingCompany
from soak.model import Empties, Model, Order, Refuses
from support.proof import COLUMNS, Stage, trimmed

TODAY = dt.date(2026, 5, 20)
KINDS = ("sqlite", "duckdb", "parquet")
REPORT_FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *(
        (f"http_{code}", {})
        for code in (400, 401, 403, 404, 408, 413, 422, 429, 500, 501, 502, 503, 504)
    ),
    *((f"html_{code}", {}) for code in (500, 502, 503, 504)),
    *(
        (name, {})
        for name in (
            "redirect",
            "html_200",
            "empty_200",
            "truncated_json",
            "gzip_junk",
            "gzip_cut",
            "other_json",
        )
    ),
    *(
        (name, {})
        for name in (
            "wrong_content_type",
            "not_utf8",
            "reset",
            "reset_after_commit",
            "close_after_commit",
        )
    ),
    *(
        (name, {})
        for name in (
            "cut_off",
            "not_http",
            "refusal",
            "no_rows",
            "total_wrong",
            "total_as_text",
            "total_missing",
        )
    ),
    *(
        (name, {})
        for name in ("zero_limit_refused", "past_end_clamped", "unstable_order", "duplicate_rows")
    ),
    *(
        (name, {})
        for name in (
            "differing_duplicates",
            "null_keys",
            "column_new",
            "not_a_number",
            "type_flip",
            "total_drifts",
        )
    ),
    ("http_429", {"retry_after": "7"}),
    ("http_429", {"retry_after": "86400"}),
    ("http_503", {"retry_after_date_s": 20}),
    ("delay", {"seconds": 400}),
    ("limit_capped", {"rows": 5}),
    ("truncated_json", {"keep": 0.99}),
    ("rows_deleted", {"page": 2}),
)
"""What may strike at any time without hiding a row for good; the others stand in tests/unit/client/test_every_fault.py."""
TOKEN_FAULTS = (
    "http_500",
    "http_502",
    "http_503",
    "http_504",
    "http_429",
    "html_200",
    "empty_200",
    "reset",
    "truncated_json",
)
SERVERS: tuple[dict[str, Any], ...] = (
    {},
    {"pagination": "has_next"},
    {"pagination": "absent"},
    {"pagination": "camel", "totals_as_text": True},
    {"pagination": "short", "order": "by_person"},
    {"pagination": "top_level", "order": "shuffled", "meta": True},
    {"pagination": "total_pages"},
    {"cap": 7},
    {"cap": 7, "pagination": "absent", "past_end": "clamped"},
    {"cap": 7, "cap_hidden": True},
    {"cap": 11, "pagination": "has_next", "past_end": "refused"},
    {"zero_limit": "refused"},
    {"zero_limit": "default", "default_limit": 10},
    # Without totals: one that counts the duplicates could as well count a row that is missing.
    {"duplicate_every": 5, "pagination": "absent"},
    {"durations": "mixed", "nothing": "mixed", "punches": "mixed", "numbers": "mixed"},
    {"compress": True, "tenant_header": "required"},
    {"rotation": True, "access_lifetime_s": 60, "error_style": "422"},
)


HOUR_S = 3600.0
SUSPENDED_AT_MOST_S = (90.0, HOUR_S, 3 * HOUR_S, 5.5 * HOUR_S, 12 * HOUR_S)
"""By the number of logins without a token, as docs/adr/0018 has it for answers that are no refusal."""


class Aborted(BaseException):
    """A task that is ended from outside: no Exception."""


@dataclass
class Count:
    """What the mixes did."""

    mixes: int = 0
    loads: int = 0
    landed: int = 0
    failed: int = 0
    refused: int = 0
    aborted: int = 0
    faults: int = 0
    rows: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    drifts: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        return (
            f"{self.mixes} mixes, {self.faults} faults played, {self.loads} loads ({self.landed} landed, {self.failed} failed "
            f"by faults, {self.aborted} aborted, {self.refused} refused by rule), {self.rows} rows compared"
        )


class Wrong(AssertionError):
    """The table is not what it must be."""


def play(
    seed: int, count: Count, *, kinds: tuple[str, ...] = KINDS, postgres: str | None = None
) -> None:
    """One mix.

    :raises Wrong: names the seed and how to repeat it.
    """
    folder = Path(tempfile.mkdtemp(prefix="we360-soak-"))
    mix = _Mix(seed, count, kinds, folder, postgres)
    try:
        for number in range(mix.dice.randint(4, 8)):
            mix.load(number)
        count.mixes += 1
    except Exception as error:
        repeat = f"make soak ARGS='--seed {seed} --runs 1 --targets {','.join(kinds)}'"
        raise Wrong(
            f"seed {seed} ({mix.kind}, {mix.server}): {error}\nrepeat: {repeat}\n{mix.story()}"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Mix:
    def __init__(
        self, seed: int, count: Count, kinds: tuple[str, ...], folder: Path, postgres: str | None
    ) -> None:
        self.dice = dice = random.Random(seed)
        random.seed(seed)  # the jitter of the waits
        self.count = count
        self.kind, self.server = dice.choice(kinds), dice.choice(SERVERS)
        config = SimulatorConfig(
            employees=dice.choice((3, 12, 26)), seed=seed, today=TODAY, **self.server
        )
        self.company = DriftingCompany(seed=seed, employees=config.employees, today=self._today)
        self.stage: Stage = Stage(config, company=self.company)
        self.stage.connect()
        self.target = targets.make(self.kind, folder, postgres)
        self.people = sorted(person.identity_id for person in self.company.people)
        self.model = Model(unique=True, in_place=self.kind != "parquet")
        self._logins_before = 0
        """Logins sent until the last load that had a token."""
        self._told: list[str] = []

    def _today(self) -> dt.date:
        return self.stage.sandbox.today

    def story(self) -> str:
        return "\n".join(self._told)

    def order(self, number: int) -> Order:
        dice = self.dice
        first = TODAY - dt.timedelta(days=dice.randint(1, 9))
        filtered = not self.target.filters_lie_apart and dice.random() < 0.2
        return Order(
            first,
            first + dt.timedelta(days=dice.randint(0, 2)),
            dice.choice((0, 0, 1, 3)),
            dice.choice(self.target.modes),
            dice.choice(("fail", "fail", "keep", "replace")),
            tuple(sorted(dice.sample(self.people, 2))) if filtered else (),
            dice.choice((f"run-{number}", "run-0")),
        )

    def load(self, number: int) -> None:
        order, dice = self.order(number), self.dice
        drift = self.company.drift(dice, *order.window)
        if dice.random() < 0.3:
            self.stage.sandbox.fixed_today = self.stage.sandbox.today + dt.timedelta(days=1)
        if (
            not self.target.exists()
        ):  # the load that makes the table decides; one that was aborted may have made it, or not
            self.model.unique = order.write_mode != "append"
        before, must_refuse = self.model.held, ""
        try:
            after = self.model.take(order, self._truth(order))
        except Refuses as refusal:
            after, must_refuse = before, type(refusal).__name__
        faults = self._plan_faults()
        kill_at = dice.randint(0, 25) if dice.random() < 0.15 else None
        self._told.append(
            f"{number}: {order} drift={drift} faults={faults} kill_at={kill_at} must_refuse={must_refuse!r}"
        )
        failure = self._run(order, kill_at)
        self._told.append(f"   -> {failure!r}")
        self._wait_for_next_try(failure)
        self.count.drifts[drift] += 1
        self._judge(failure, must_refuse, faults=bool(faults), kill=kill_at is not None)
        self.model.held = after if failure is None else before
        self._compare()

    def _truth(self, order: Order) -> list[dict[str, Any]]:
        return trimmed(self.company.rows(*order.window))

    def _plan_faults(self) -> list[str]:
        dice, faults, told = self.dice, self.stage.sandbox.faults, []
        faults.clear()
        for _ in range(dice.choice((0, 1, 1, 2, 3, 5))):
            name, args = dice.choice(REPORT_FAULTS)
            times = None if dice.random() < 0.04 else dice.choice((1, 1, 1, 2))
            if name == "no_rows" and times != 1:
                continue  # an account that sees nobody is drift, not a fault that passes
            faults.add("report", name, times=times, after=dice.randint(0, 6), **args)
            told.append(name)
        if dice.random() < 0.15:
            faults.add("token", name := dice.choice(TOKEN_FAULTS), times=dice.choice((1, 2)))
            told.append(f"token:{name}")
        return told

    def _run(self, order: Order, kill_at: int | None) -> BaseException | None:
        statements = iter(range(10**6))

        def before(sql: str) -> None:
            if next(statements) == kill_at:
                raise Aborted

        operator = self.target.operator(
            before if kill_at is not None else None,
            window_start=str(order.first),
            window_end=str(order.last),
            lookback_days=order.lookback,
            write_mode=order.write_mode,
            on_empty=order.on_empty,
            user_ids=order.people,
            max_parallel_requests=self.dice.choice((1, 4)),
        )
        self.count.loads += 1
        played = self.stage.sandbox.request_log.counts["faults_played"]
        try:
            self.stage.run(operator, order.run_id)
        except (Exception, Aborted) as failure:
            return failure
        finally:
            _join_requests()
            self.count.faults += self.stage.sandbox.request_log.counts["faults_played"] - played
        return None

    def _wait_for_next_try(self, failure: BaseException | None) -> None:
        """Advance the clock until the next task may log in, at most as long as is documented."""
        wait_s, logins = 120.0, self.stage.sandbox.request_log.counts["logins_sent"]
        if not isinstance(failure, AuthUnavailable):
            self._logins_before = logins
        elif failure.retry_after_s:
            lost = logins - self._logins_before
            longest_s = SUSPENDED_AT_MOST_S[min(max(lost, 1), len(SUSPENDED_AT_MOST_S)) - 1]
            assert failure.retry_after_s <= longest_s, f"{failure!r} after {lost} lost logins"
            wait_s = max(wait_s, failure.retry_after_s)
        self.stage.time.sleep(wait_s)

    def _judge(
        self, failure: BaseException | None, must_refuse: str, *, faults: bool, kill: bool
    ) -> None:
        if failure is None:
            assert not must_refuse, f"the load landed, though it must be refused: {must_refuse}"
            self.count.landed += 1
        elif isinstance(failure, Aborted):
            assert kill
            self.count.aborted += 1
        elif must_refuse and (
            isinstance(failure, EmptyDayRefused) or must_refuse != Empties.__name__
        ):
            self.count.refused += 1
        else:
            assert isinstance(failure, We360Error), f"no error of ours: {failure!r}"
            assert not isinstance(failure, EmptyDayRefused), f"refused without a reason: {failure}"
            assert faults or kill, f"failed without a fault: {failure!r}"
            self.count.failed += 1

    def _compare(self) -> None:
        held, expected = self.target.rows(), self.model.held
        columns = [*(column.name for column in COLUMNS), "run"]
        runs = {f"dag|{row['run']}|load" for row in expected}
        assert {row["run"] for row in held} <= runs, "rows of a load that failed"
        found = sorted(({name: row[name] for name in columns} for row in held), key=repr)
        wanted = sorted(
            (
                {**{name: row[name] for name in columns}, "run": f"dag|{row['run']}|load"}
                for row in expected
            ),
            key=repr,
        )
        if found != wanted:
            lost = [row for row in wanted if row not in found]
            strange = [row for row in found if row not in wanted]
            raise AssertionError(
                f"{len(lost)} rows missing or other, {len(strange)} too many or other of {len(wanted)}"
            )
        assert not self.target.left_over(), self.target.left_over()
        self.count.rows += len(wanted)
        self.count.kinds[self.kind] += len(wanted)


def _join_requests() -> None:
    """Let the requests that a failed load abandoned end at its time.

    One that still waits for the token would find the clock hours ahead, and log in.
    """
    for thread in threading.enumerate():
        if thread.name.startswith("we360-request"):
            thread.join()


__all__ = ["Count", "Wrong", "play"]
