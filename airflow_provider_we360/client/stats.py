"""ReadStats: counts of one extract, shared by its threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field


@dataclass(slots=True)
class ReadStats:
    """What reading an extract took.

    :param requests: data requests sent, retries and verification included.
    :param verification_requests: those of them that only verified that no row is missing.
    :param duplicates: identical rows that were received twice and dropped.
    """

    requests: int = 0
    verification_requests: int = 0
    duplicates: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self, *, requests: int = 0, verification_requests: int = 0, duplicates: int = 0
    ) -> None:
        """Add to the counts. Safe to call from several threads."""
        with self._lock:
            self.requests += requests
            self.verification_requests += verification_requests
            self.duplicates += duplicates
