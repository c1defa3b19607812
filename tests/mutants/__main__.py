"""Put about 60 small faults into a copy of the package, one at a time, and count those that the tests catch.

Each fault is drawn from a seed, spread over the rooms of the package: a tree and a seed always have the same list. The unit
tests of its room run first; only a fault that they miss meets the other tests. The score is printed by room, with each fault
that no test caught.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mutants.operators import Mutant, find_mutants

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "airflow_provider_we360"
ROOMS = {
    "auth": 12,
    "client": 12,
    "rows": 8,
    "sinks": 14,
    "window": 6,
    "connection": 4,
    "transfers": 4,
    "hooks": 4,
}
NEEDS_A_SERVICE = ("gcpbigquery", "mysql", "redshift", "snowflake", "adbc")
STAGE_TIMEOUT_S = 1200.0
LADDER = {
    "auth": [
        "unit/auth/test_lifecycle.py unit/auth/test_faults.py unit/auth/test_hard_nights.py",
        "unit/auth unit/hooks",
        "property/test_token_laws.py keycloak airflow/test_sessions.py",
    ],
    "client": ["unit/client", "property unit/transfers airflow/test_foreign_truth.py"],
    "rows": ["unit/rows property/test_decode_laws.py", "property airflow/test_pseudonyms.py"],
    "sinks": [
        "unit/sinks",
        "contract/test_sinks.py contract/test_sinks_sqlite.py contract/test_load_log.py",
        "contract",
    ],
    "window": ["unit/test_window.py", "property/test_window_laws.py"],
    "connection": [
        "unit/test_connection.py",
        "airflow/test_connection_forms.py airflow/test_bad_input.py",
    ],
    "transfers": [
        "unit/transfers",
        "airflow/test_log_of_a_load.py airflow/test_bad_input.py airflow/test_openlineage.py",
    ],
    "hooks": [
        "unit/hooks",
        "airflow/test_provider.py airflow/test_pseudonyms.py airflow/test_sessions.py",
    ],
}
"""Which tests meet a fault of each room, the likeliest first."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tree", type=Path, default=ROOT, help="the checkout to measure")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--select", default="", help="what pytest gets as -m")
    parser.add_argument("--share", type=float, default=1.0, help="of the faults, such as 0.5")
    parser.add_argument("--only", default="", help="one room")
    parser.add_argument("--minutes", type=float, default=1e9, help="start no fault after so long")
    arguments = parser.parse_args()
    rooms = {arguments.only: ROOMS[arguments.only]} if arguments.only else ROOMS
    caught: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="we360-mutants-") as folder:
        tree = copy_tree(arguments.tree, Path(folder) / "tree")
        drawn = interleave(
            [
                draw(tree, room, round(count * arguments.share), arguments.seed)
                for room, count in rooms.items()
            ]
        )
        if failure := find_failure(tree, rooms, arguments.python, arguments.select):
            print(f"Without a fault, {failure}: mend that first, or every fault counts as caught")
            return 1
        for number, mutant in enumerate(drawn, start=1):
            if time.monotonic() - began > 60 * arguments.minutes:
                break
            room = room_of(mutant.path)
            by = run_ladder(tree, mutant, room, arguments.python, arguments.select)
            tried[room] += 1
            caught[room] += by is not None
            print(f"{number} of {len(drawn)}: {mutant}", flush=True)
            print(f"    {'caught by ' + by if by else 'SURVIVED'}", flush=True)
    for room, count in tried.items():
        print(f"{room:12} {caught[room]:3} of {count}")
    print(f"{'all':12} {caught.total():3} of {tried.total()}, seed {arguments.seed}")
    return 0


def find_failure(tree: Path, rooms: Iterable[str], python: str, select: str) -> str | None:
    """Return what fails in the tree without a fault, None if nothing does."""
    for room in rooms:
        print(f"without a fault: the tests of {room}", flush=True)
        if (outcome := run_tests(tree, find_tests(tree, LADDER[room]), python, select)) != "passed":
            return f"{room} fails ({outcome})"
    return None


def find_tests(tree: Path, steps: Iterable[str]) -> list[str]:
    """Return the test files and folders of these steps that the tree has, each once."""
    names = dict.fromkeys(f"tests/{one}" for step in steps for one in step.split())
    return [name for name in names if (tree / name).exists()]


def interleave(rooms: list[list[Mutant]]) -> list[Mutant]:
    longest = max(map(len, rooms))
    return [room[i] for i in range(longest) for room in rooms if i < len(room)]


def copy_tree(source: Path, target: Path) -> Path:
    """Copy what git knows of, so that no mutant touches the checkout."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=source,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
    return target


def draw(tree: Path, room: str, count: int, seed: int) -> list[Mutant]:
    """Return the faults of a room that this seed chooses: one a line at most."""
    package = tree / PACKAGE
    files = (
        [package / f"{room}.py"]
        if (package / f"{room}.py").exists()
        else (package / room).rglob("*.py")
    )
    one_a_line: dict[tuple[str, int], Mutant] = {}
    chance = random.Random(f"{seed} {room}")
    for path in sorted(files):
        if path.stem not in NEEDS_A_SERVICE:
            found = find_mutants(str(path.relative_to(tree)), path.read_text())
            chance.shuffle(found)
            one_a_line |= {(one.path, one.line): one for one in found}
    return chance.sample(list(one_a_line.values()), min(count, len(one_a_line)))


def room_of(path: str) -> str:
    return Path(path).relative_to(PACKAGE).parts[0].removesuffix(".py")


def run_ladder(tree: Path, mutant: Mutant, room: str, python: str, select: str) -> str | None:
    """Return which tests caught the fault, None if it survived all."""
    path = tree / mutant.path
    whole = path.read_text()
    path.write_text(mutant.apply(whole))
    try:
        for step in LADDER[room]:
            if (folders := find_tests(tree, [step])) and (
                outcome := run_tests(tree, folders, python, select)
            ) != "passed":
                return f"{step} ({outcome})"
    finally:
        path.write_text(whole)
    return None


def run_tests(tree: Path, folders: list[str], python: str, select: str) -> str:
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-x",
        "--no-header",
        "-p",
        "no:cacheprovider",
    ]
    command += [*(["-m", select] if select else []), *folders]
    environment = os.environ | {"PYTHONPATH": str(tree), "HYPOTHESIS_DATABASE": "none"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=STAGE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return "timeout"
    if process.returncode in (0, 5):  # 5: none of the folder's tests is selected
        return "passed"
    failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (
        failed[0].split(" - ")[0].split()[-1].partition("tests/")[2]
        if failed
        else f"exit {process.returncode}"
    )


if __name__ == "__main__":
    sys.exit(main())
