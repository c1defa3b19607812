"""The example of docs/how-to/add-a-report.md, added to the package as a contributor would add it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_we360.client import reports

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-report.md"
NAME = "daily_attendance_details"


@contextmanager
def example_report(folder: Path) -> Iterator[str]:
    """Add the report while the block runs, and yield its name.

    :param folder: where its file is written.
    """
    (text,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (folder / f"{NAME}.py").write_text(text)
    reports.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield NAME
    finally:
        reports.__path__.remove(str(folder))
        sys.modules.pop(f"{reports.__name__}.{NAME}", None)
