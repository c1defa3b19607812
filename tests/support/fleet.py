"""Many workers at once, each the real code in a process of its own, under one clock that only waiting moves.

Every worker is a greenlet. Whatever takes time (a store, the wire, a sleep) hands over to the next one, so a month of eight
tasks an hour takes seconds, and the same seed gives the same month.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import greenlet
import httpx
from cryptography.fernet import Fernet

from airflow_provider_we360.auth.token import TokenSet
from airflow_provider_we360.auth.token_manager import TokenManager
from airflow_provider_we360.connection import We360Settings
from airflow_provider_we360.hooks.encrypted_variable import variable_store
from airflow_provider_we360.hooks.encryption import TokenCipher
from simulator.app import Simulator, SimulatorConfig
from support.session import settings_for
from support.variables import FakeVariables

T = TypeVar("T")

KEY = Fernet(Fernet.generate_key())


class FleetTime:
    """A clock for many: who sleeps lets the others run."""

    def __init__(self, now: float = 1_780_000_000.0) -> None:
        self.now = now
        self._hub = greenlet.getcurrent()
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, greenlet.greenlet]] = []
        self._killed: list[greenlet.greenlet] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._wake(self.now + max(seconds, 0.0), greenlet.getcurrent())
        self._hub.switch()

    def spawn(self, at: float, work: Callable[[], object]) -> greenlet.greenlet:
        """Start something at a moment."""
        worker = greenlet.greenlet(work, parent=self._hub)
        self._wake(at, worker)
        return worker

    def call(self, work: Callable[[], T]) -> T:
        """What another party does meanwhile: it goes on even if the caller is killed."""
        caller, outcome = greenlet.getcurrent(), []

        def serve() -> None:
            try:
                outcome.append((work(), None))
            except Exception as error:
                outcome.append((None, error))
            self._wake(self.now, caller)

        self.spawn(self.now, serve)
        self._hub.switch()
        result, error = outcome[0]
        if error is not None:
            raise error
        return result

    def kill(self, worker: greenlet.greenlet) -> None:
        """As SIGKILL: it never runs again, and cleans up nothing."""
        self._killed.append(worker)

    def freeze(self, worker: greenlet.greenlet, seconds: float) -> None:
        """As a machine that is suspended: what it waits for comes later."""
        frozen = [
            (at + seconds if one is worker else at, order, one) for at, order, one in self._waiting
        ]
        heapq.heapify(frozen)
        self._waiting = frozen

    def run(self) -> None:
        """Until nobody has anything left to do."""
        assert greenlet.getcurrent() is self._hub
        while self._waiting:
            at, _, worker = heapq.heappop(self._waiting)
            self.now = max(self.now, at)
            if not any(worker is one for one in self._killed):
                worker.switch()

    def _wake(self, at: float, worker: greenlet.greenlet) -> None:
        heapq.heappush(self._waiting, (at, next(self._order), worker))


@dataclass
class Trouble:
    """What is wrong with the Variables of one worker (F30).

    :param slow_share: how many calls in a hundred take up to three seconds.
    :param stale_s: reads may show what stood there so many seconds ago.
    :param failing_share: how many writes in a hundred raise.
    :param colliding: of two writes within so many seconds the later one raises, as Airflow 2.11 does.
    """

    slow_share: float = 0.0
    stale_s: float = 0.0
    colliding: float = 0.0
    failing_share: float = 0.0


class SlowVariables:
    """Variables behind a network: each call takes 20 to 120 ms, and takes effect somewhere in between."""

    def __init__(
        self, shared: FakeVariables, time: FleetTime, dice: random.Random, trouble: Trouble
    ) -> None:
        self._shared = shared
        self._time = time
        self._dice = dice
        self._trouble = trouble
        self.calls = 0

    def get(self, name: str) -> str | None:
        with self._call():
            value = self._shared.get(name)
        if self._trouble.stale_s and name in self._shared.history:
            then = self._time.now - self._dice.uniform(0, self._trouble.stale_s)
            value = next(
                (old for at, old in reversed(self._shared.history[name]) if at <= then), None
            )
        return value

    def set(self, name: str, value: str, description: str) -> None:
        with self._call():
            if self._dice.random() < self._trouble.failing_share:
                raise RuntimeError("database is locked")
            past = self._shared.history.setdefault(name, [])
            if past and self._time.now - past[-1][0] < self._trouble.colliding:
                raise RuntimeError("IntegrityError: duplicate key")
            self._shared.set(name, value, description)
            past.append((self._time.now, self._shared.values.get(name)))

    def delete(self, name: str) -> None:
        with self._call():
            self._shared.delete(name)
            self._shared.history.setdefault(name, []).append((self._time.now, None))

    def confirm_absent(self, name: str) -> None:
        self._shared.confirm_absent(name)

    def _call(self) -> _Latency:
        self.calls += 1
        slow = self._dice.random() < self._trouble.slow_share
        return _Latency(
            self._time,
            self._dice.uniform(0.5, 3) if slow else self._dice.uniform(0.02, 0.12),
            self._dice.random(),
        )


@dataclass
class _Latency:
    time: FleetTime
    seconds: float
    share_before: float

    def __enter__(self) -> None:
        self.time.sleep(self.seconds * self.share_before)

    def __exit__(self, *_: object) -> None:
        self.time.sleep(self.seconds * (1 - self.share_before))


@dataclass
class Fleet:
    """A deployment: a sandbox, Variables, and workers that come and go."""

    config: SimulatorConfig = field(default_factory=SimulatorConfig)
    seed: int = 0
    trouble: Trouble = field(default_factory=Trouble)
    variables: FakeVariables = field(default_factory=FakeVariables)

    def __post_init__(self) -> None:
        self.time = FleetTime()
        self.dice = random.Random(self.seed)
        self.sandbox = Simulator(self.config, clock=self.time.clock, sleep=self.time.sleep)
        self.failures: list[Exception] = []
        self.done = 0
        self.reuses = 0
        """How often Keycloak saw a used refresh token again: each time it ends the session."""

    @property
    def request_log(self) -> Any:
        return self.sandbox.request_log

    @property
    def live_sessions(self) -> int:
        return sum(self.request_log.live_sessions().values())

    def worker(self, *, skew_s: float = 0.0, **changes: object) -> Worker:
        """A process of its own.

        :param skew_s: how far its clock runs ahead.
        :param changes: of the Connection it reads.
        """
        return Worker(self, settings_for(self.sandbox, **changes), skew_s)

    def start(
        self, at: float, work: Callable[[Worker], object] | None = None, **how: Any
    ) -> greenlet.greenlet:
        """A task: by default it asks for a token once. Its failure is kept, not raised."""

        def task() -> None:
            worker = self.worker(**how)
            try:
                (work or Worker.ask)(worker)
                self.done += 1
            except Exception as error:
                self.failures.append(error)
            finally:
                worker.manager.close()

        return self.time.spawn(at, task)


class Worker:
    """The real manager over the real store, on slow Variables and a slow wire."""

    def __init__(self, fleet: Fleet, settings: We360Settings, skew_s: float) -> None:
        self._fleet = fleet
        self.settings = settings
        self._transport = httpx.WSGITransport(fleet.sandbox)
        self.variables = SlowVariables(fleet.variables, fleet.time, fleet.dice, fleet.trouble)
        self.tokens: list[TokenSet] = []
        self._clock = lambda: fleet.time.now + skew_s
        self.manager = TokenManager(
            settings,
            variable_store(settings, self.variables, TokenCipher(settings, KEY), clock=self._clock),
            self.send,
            clock=self._clock,
            sleep=fleet.time.sleep,
            spread=fleet.dice.random,
        )

    def ask(self, rejected: TokenSet | None = None) -> TokenSet:
        """A token that the API takes: a 401 costs one more try, as in BearerAuth."""
        token = self.manager.token(rejected)
        if self._fleet.sandbox.identity.account_of(token.access_token) is None:
            if rejected is not None:
                raise AssertionError("the API refused a token that was new")
            return self.ask(token)
        self.tokens.append(token)
        return token

    def send(self, request: httpx.Request) -> httpx.Response:
        """Over a wire that takes its time."""
        self._fleet.time.sleep(self._fleet.dice.uniform(0.05, 0.4))
        response = self._fleet.time.call(lambda: self._transport.handle_request(request))
        response.request = request
        response.read()
        self._fleet.reuses += b"token reuse" in response.content
        self._fleet.time.sleep(self._fleet.dice.uniform(0.05, 0.4))
        return response


def month(
    *,
    days: float = 30,
    tasks: int = 8,
    every_s: float = 3600.0,
    skews: tuple[float, ...] = (0.0,),
    trouble: Trouble | None = None,
    seed: int = 0,
    **config: Any,
) -> Fleet:
    """Tasks that start together, every hour, for a month; the login guard and rotation are on unless told otherwise."""
    told = {
        "rotation": True,
        "login_guard": True,
        "login_takes_s": 0.4,
        "refresh_takes_s": 0.2,
    } | config
    fleet = Fleet(SimulatorConfig(**told), seed=seed, trouble=trouble or Trouble())
    for tick in range(int(days * 86_400 / every_s)):
        for number in range(tasks):
            at = fleet.time.now + 10 + tick * every_s + fleet.dice.expovariate(1 / 0.6)
            fleet.start(at, skew_s=skews[number % len(skews)])
    fleet.time.run()
    return fleet
