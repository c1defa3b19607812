"""Each command of the Makefile finds the packages that it asks for."""

from __future__ import annotations

import re
from pathlib import Path


def test_bootstrap_knows_every_group_of_the_makefile(root: Path) -> None:
    asked = re.findall(r"^\t\$\(ready\) (.+)$", (root / "Makefile").read_text(), re.MULTILINE)
    case = re.search(r"packages_of\(\) .*?esac", (root / ".ci/bootstrap").read_text(), re.DOTALL)
    assert case is not None
    known = set(re.findall(r"[a-z]+(?= \||\))", case[0]))
    assert {group for groups in asked for group in groups.split()} - known == set()
    assert "nonsense" not in known
