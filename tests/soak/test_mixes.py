"""A short run of the mixes; ``make soak`` plays them for as long as one likes."""

from __future__ import annotations

import os
import time

from soak.mix import Count, play

SECONDS = 10.0
FIRST_SEED = int(os.environ.get("WE360_SEED", "1"))
KNOWN = (17, 167, 177, 5041, 5058, 5073)
"""Seeds that once fell: a hidden cap behind a refusal, behind a time-out and behind an empty answer, among others."""


def test_random_mixes_of_faults_drift_and_aborts_leave_what_plain_python_would_leave():
    count, end = Count(), time.monotonic() + SECONDS
    for seed in (*KNOWN, *range(FIRST_SEED, FIRST_SEED + 10_000)):
        if time.monotonic() > end and count.mixes >= len(KNOWN):
            break
        play(seed, count)
    assert count.landed > 10
    assert count.rows > 100
    assert count.faults > 10
    print(count.told())
