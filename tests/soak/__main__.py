"""Mixes for as long as one likes: ``make soak ARGS='--minutes 10'``; a fall prints its seed and the command that repeats it."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time

from cryptography.fernet import Fernet

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="we360-soak-home-")
os.environ.update(
    AIRFLOW__CORE__FERNET_KEY=Fernet.generate_key().decode(), AIRFLOW__CORE__LOAD_EXAMPLES="False"
)


def main() -> int:
    """Plays mixes until the minutes or the runs are over; answers how many fell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=10**9)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--targets", default="sqlite,duckdb,parquet,postgres")
    given = parser.parse_args()
    kinds = tuple(given.targets.split(","))

    import structlog

    from soak.mix import Count, Wrong, play
    from support.engines import postgres_server

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.disable(logging.CRITICAL)
    count, falls, end = Count(), 0, time.monotonic() + given.minutes * 60
    with postgres_server() if "postgres" in kinds else contextlib.nullcontext() as postgres:
        for seed in range(given.seed, given.seed + given.runs):
            if time.monotonic() > end:
                break
            try:
                play(seed, count, kinds=kinds, postgres=postgres)
            except Wrong as wrong:
                falls += 1
                print(wrong, file=sys.stderr, flush=True)
            if count.mixes % 25 == 0:
                print(count.told(), flush=True)
    print(
        f"{count.told()}\nby target: {dict(count.kinds)}; drift: {dict(count.drifts)}; failures: {falls}"
    )
    return min(falls, 1)


if __name__ == "__main__":
    sys.exit(main())
