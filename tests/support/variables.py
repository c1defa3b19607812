"""Airflow Variables as a dict, with the troubles that real ones make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class FakeVariables:
    """Variables of one deployment.

    :param shadow: values that a secrets backend gives in place of those written.
    :param broken: names of the calls that raise.
    :param deaf: True: writes are taken and forgotten, as Airflow 3.0 to 3.2 could.
    :param history: what stood there when, kept by whoever minds the time.
    :param before_read: called once, before the next read: somebody comes between.
    """

    values: dict[str, str] = field(default_factory=dict)
    shadow: dict[str, str] = field(default_factory=dict)
    broken: frozenset[str] = frozenset()
    deaf: bool = False
    before_read: Callable[[], object] | None = None
    history: dict[str, list[tuple[float, str | None]]] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        self._break("get")
        if self.before_read is not None:
            come_between, self.before_read = self.before_read, None
            come_between()
        return self.shadow.get(name, self.values.get(name))

    def set(self, name: str, value: str, description: str) -> None:
        self._break("set")
        if not self.deaf:
            self.values[name] = value

    def delete(self, name: str) -> None:
        self._break("delete")
        self.values.pop(name, None)

    def confirm_absent(self, name: str) -> None:
        self._break("get")

    def _break(self, call: str) -> None:
        if call in self.broken:
            raise PermissionError(f"{call} of a Variable refused: eyJhbGciOi.secret-in-the-text")
