"""ReadStats: counts and findings of one extract, shared by its threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from airflow_provider_we360.types import Day


@dataclass(slots=True)
class ReadStats:
    """What reading an extract took, and what to know about its rows.

    :param requests: data requests sent, retries and verification included.
    :param verification_requests: those of them that only verified that no row is missing.
    :param duplicates: identical rows that were received twice and dropped.
    :param unsettled_days: days whose rows changed while they were read; the newest answer counts.
    :param assumed_empty_days: days that are empty by two equal answers of a server that never says
        how many rows there are.
    :param unknown_fields: names of envelope fields that this client does not know.
    """

    requests: int = 0
    verification_requests: int = 0
    duplicates: int = 0
    unsettled_days: set[Day] = field(default_factory=set)
    assumed_empty_days: set[Day] = field(default_factory=set)
    unknown_fields: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(
        self, *, requests: int = 0, verification_requests: int = 0, duplicates: int = 0
    ) -> None:
        """Add to the counts. Safe to call from several threads."""
        with self._lock:
            self.requests += requests
            self.verification_requests += verification_requests
            self.duplicates += duplicates
