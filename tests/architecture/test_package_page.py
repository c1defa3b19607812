"""The package page shows README.md without the repository: each link on it is absolute and leads to a file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.provider_info import get_provider_info

RAW = re.compile(r"https://raw\.githubusercontent\.com/\w+/airflow-provider-we360/main/([^#\s]+)")
BLOB = re.compile(r"https://github\.com/\w+/airflow-provider-we360/blob/main/([^#\s]+)")
LINK = re.compile(r"(!?)\[(?:!\[[^\]]*\]\([^)]*\)|[^\]]*)\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def settings(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def page(root: Path, settings: dict[str, Any]) -> str:
    """Return the readme of the built metadata, made the way the build hook makes it."""
    hook = settings["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((root / part["path"]).read_text() for part in hook["fragments"])
    for substitution in hook["substitutions"]:
        text = re.sub(substitution["pattern"], substitution["replacement"], text)
    return text


def test_every_link_of_the_package_page_is_absolute(page: str) -> None:
    links = [link for _, link in LINK.findall(page)] + PICTURE.findall(page)
    assert len(links) > 25
    assert [link for link in links if not link.startswith("https://")] == []


def test_every_link_into_the_repository_leads_to_a_file(root: Path, page: str) -> None:
    paths = {path for pattern in (RAW, BLOB) for path in pattern.findall(" ".join(_links(page)))}
    assert len(paths) > 15
    assert [path for path in paths if not (root / path.strip()).exists()] == []


def test_every_picture_is_served_as_a_file(page: str) -> None:
    pictures = [link for link in PICTURE.findall(page) if "img.shields.io" not in link]
    assert len(pictures) == 2
    assert all(RAW.fullmatch(picture) for picture in pictures)


def test_the_build_uses_the_hook(settings: dict[str, Any]) -> None:
    assert any("hatch-fancy-pypi-readme" in one for one in settings["build-system"]["requires"])
    assert "readme" in settings["project"]["dynamic"]


def test_the_metadata_has_the_links_that_airflow_shows(settings: dict[str, Any]) -> None:
    urls = settings["project"]["urls"]
    assert list(urls) == ["Homepage", "Documentation", "Source", "Changelog", "Issues"]
    assert settings["project"]["authors"]


def test_all_files_name_the_same_repository(root: Path, settings: dict[str, Any]) -> None:
    urls = settings["project"]["urls"]
    source = urls["Source"]
    assert urls["Documentation"] in get_provider_info()["description"]
    for name in (".airflow-registry.yaml", ".github/ISSUE_TEMPLATE/config.yml"):
        assert source in (root / name).read_text(), name


def _links(page: str) -> list[str]:
    return [link for _, link in LINK.findall(page)] + PICTURE.findall(page)
