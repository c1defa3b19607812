"""How many examples a law is tried with."""

from __future__ import annotations

import os


def examples(full: int) -> int:
    """Return `full` under make test-all, a tenth of it (20 at least) otherwise."""
    return full if os.environ.get("WE360_EXAMPLES") == "ci" else min(full, max(20, full // 10))
