"""The forge runs only what is pinned, with no more rights than a job needs, and tests every cell of the matrix."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from matrix.cells import CELLS

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")
MAY_WRITE = {
    ("release", "attest"): {"attestations", "id-token"},
    ("release", "publish"): {"id-token"},
    ("release", "pages"): {"id-token", "pages"},
}
"""Jobs that may write, and what."""
ENVIRONMENTS = {("release", "publish"): "pypi", ("release", "pages"): "github-pages"}

Job = tuple[tuple[str, str], dict[str, Any]]


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.y*ml"))


def workflow(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text())
    return read


def jobs() -> Iterator[Job]:
    for path in files():
        for name, job in workflow(path)["jobs"].items():
            yield (path.stem, name), job


def steps() -> Iterator[dict[str, Any]]:
    for _, job in jobs():
        yield from job["steps"]


def test_there_is_one_for_changes_and_one_for_releases() -> None:
    assert [path.stem for path in files()] == ["ci", "release"]


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_every_action_is_pinned_by_commit_and_names_its_tag(path: Path) -> None:
    used = [
        line.strip().removeprefix("- ")
        for line in path.read_text().splitlines()
        if re.search(r"\buses:", line)
    ]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_one_action_has_one_pin() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert len({one.partition("@")[0] for one in used}) == len(used)


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_workflows_have_no_rights_and_jobs_only_what_they_need(path: Path) -> None:
    assert workflow(path)["permissions"] == {}
    for (stem, name), job in jobs():
        writes = {right for right, kind in job["permissions"].items() if kind == "write"}
        assert writes == MAY_WRITE.get((stem, name), set()), name
        assert {kind for right, kind in job["permissions"].items() if right not in writes} <= {
            "read"
        }, name


def test_a_job_that_may_write_runs_nothing_of_the_tree() -> None:
    for where, job in jobs():
        if where in MAY_WRITE:
            assert not [
                step for step in job["steps"] if "actions/checkout@" in step.get("uses", "")
            ], where


def test_the_jobs_that_others_see_wait_behind_an_environment() -> None:
    assert {
        where: job["environment"] for where, job in jobs() if "environment" in job
    } == ENVIRONMENTS


def test_no_secret_is_used_and_no_checkout_keeps_its_token() -> None:
    assert [path.name for path in files() if "secrets." in path.read_text()] == []
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_what_a_stranger_may_name_is_never_pasted_into_a_shell() -> None:
    assert [step["run"] for step in steps() if "${{" in step.get("run", "")] == []


def test_every_job_ends_in_time_and_two_runs_do_not_meet() -> None:
    assert [where for where, job in jobs() if not 0 < job.get("timeout-minutes", 0) <= 90] == []
    assert [
        path.name for path in files() if "group" not in workflow(path).get("concurrency", {})
    ] == []


@pytest.mark.parametrize("where", [("ci", "matrix"), ("release", "test")])
def test_every_cell_of_the_matrix_is_played(where: tuple[str, str]) -> None:
    (played,) = [job["strategy"]["matrix"]["include"] for at, job in jobs() if at == where]
    assert [(one["cell"], one["python"]) for one in played] == [
        (cell.name, cell.python) for cell in CELLS
    ]


def test_what_is_published_is_what_was_built_once_and_tested() -> None:
    release = dict(jobs())
    order = ["build", "test", "attest", "publish", "docs", "pages"]
    for before, after in itertools.pairwise(order):
        assert release["release", after]["needs"] == before
    builds = [
        where
        for where, job in release.items()
        if any("make build" in step.get("run", "") for step in job["steps"])
    ]
    assert [where for where in builds if where[0] == "release"] == [("release", "build")]
    for name in ("test", "attest", "publish"):
        taken = [
            step["with"]["name"]
            for step in release["release", name]["steps"]
            if "download-artifact@" in step.get("uses", "")
        ]
        assert taken == ["dist"], name
