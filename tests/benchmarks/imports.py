"""Milliseconds that a Dag file pays for naming our operators, after `import airflow.sdk`: the best of several runs."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "airflow_provider_we360"
ROOMS = ("transfers", "operators", "sensors")
RUNS = 5

_MEASURE = """
import importlib, time
import airflow.sdk
began = time.perf_counter()
for name in {names!r}:
    importlib.import_module(name)
print(1000 * (time.perf_counter() - began))
"""


def main() -> None:
    package = Path(__file__).resolve().parents[2] / PACKAGE
    names = [
        f"{PACKAGE}.{room}.{module.name}"
        for room in ROOMS
        for module in pkgutil.iter_modules([str(package / room)])
    ]
    best = min(milliseconds(names) for _ in range(RUNS))  # another load on the machine only adds
    print(f"import of {len(names)} operator modules after airflow.sdk: {best:.0f} ms")


def milliseconds(names: list[str]) -> float:
    code = _MEASURE.format(names=names)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
