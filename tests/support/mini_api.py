"""A server as one function, behind an httpx transport."""

from __future__ import annotations

from collections.abc import Callable

import httpx


def api(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    """A client whose every request goes to this function."""
    return httpx.Client(base_url="https://api.in.we360.ai", transport=httpx.MockTransport(answer))


class FakeTime:
    """A clock that only sleep moves."""

    def __init__(self, now: float = 1_780_000_000.0) -> None:
        self.now = now
        self.naps: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds
