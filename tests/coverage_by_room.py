"""Print branch coverage by room of the package, with the lines that no test of the core runs: `make cover`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

PACKAGE = "airflow_provider_we360"
CORE = ("auth", "client", "rows", "connection", "window")


def main() -> None:
    counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    missing: list[str] = []
    for path, file in sorted(measured().items()):
        room = Path(path).relative_to(PACKAGE).parts[0].removesuffix(".py")
        summary = file["summary"]
        counts[room][0] += summary["covered_lines"] + summary["covered_branches"]
        counts[room][1] += summary["num_statements"] + summary["num_branches"]
        if room in CORE and (file["missing_lines"] or file["missing_branches"]):
            missing.append(f"{path}: lines {file['missing_lines']}, {file['missing_branches']}")
    for room, (covered, total) in sorted(counts.items()):
        print(f"{room:16} {100 * covered / max(total, 1):6.1f} %  {covered:5} of {total}")
    print("core, not run:", *missing or ["nothing"], sep="\n  ")


def measured() -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        command = [sys.executable, "-m", "coverage", "json", "-q", "-o", file.name]
        subprocess.run(command, check=True)
        files: dict[str, Any] = json.loads(Path(file.name).read_text())["files"]
    return {path: found for path, found in files.items() if path.startswith(PACKAGE)}


if __name__ == "__main__":
    main()
