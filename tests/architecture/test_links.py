"""Every link within the project leads somewhere, from pages that Sphinx builds and from those that only a repository shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from support.documents import ROOT, all_blocks, name, pages, spoken

LINK = re.compile(r"!?\[[^\]]*\]\(<?([^)\s>]+)>?\)|(?:src|href)=\"([^\"]+)\"")
INCLUDED = re.compile(r"^```\{(?:image|figure|include|literalinclude)\} (\S+)", re.MULTILINE)
OUTSIDE = re.compile(r"(?:https?|mailto):")
A_PLACE = re.compile(r"(?:tests|docs|example_dags|airflow_provider_we360|\.ci)/[\w./-]*\w/?")
TEXTS = ("*.py", "*.toml", "*.md", "Makefile")


def prose(page: Path) -> str:
    """The page without what stands in fences and between back-ticks."""
    text = re.sub(r"(?ms)^ *(`{3,}|~{3,}).*?^ *\1 *$", "", page.read_text())
    return re.sub(r"`[^`]*`", "code", text)


def anchors(page: Path) -> set[str]:
    """What GitHub and Sphinx make of the page's headings, and names that are given."""
    text = re.sub(r"(?ms)^ *(`{3,}|~{3,}).*?^ *\1 *$", "", page.read_text())
    headings = re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE)
    slugs = [
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")
        for heading in headings
    ]
    return {
        *slugs,
        *re.findall(r"^\((\S+)\)=$", text, re.MULTILINE),
        *re.findall(r'(?:id|name)="([^"]+)"', text),
    }


def links() -> list[tuple[Path, str]]:
    found = [(page, one or other) for page in pages() for one, other in LINK.findall(prose(page))]
    return [(page, link) for page, link in found if not OUTSIDE.match(link)]


@pytest.mark.parametrize(
    ("page", "link"), links(), ids=[f"{name(page)} {link}" for page, link in links()]
)
def test_a_link_leads_to_a_file_and_to_a_heading_in_it(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.is_relative_to(ROOT)
    assert target.exists()
    if anchor and target.suffix == ".md":
        assert anchor in anchors(target)


def test_a_test_that_a_page_names_is_there() -> None:
    named = {
        (name(page), *found)
        for page in pages()
        for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text())
    }
    missing = [
        one
        for one in named
        if not re.search(rf"^def {one[2]}\(", (ROOT / one[1]).read_text(), re.MULTILINE)
    ]
    assert not missing
    assert len(named) > 30


def test_what_a_page_takes_in_is_there() -> None:
    missing = [
        f"{name(page)}: {path}"
        for page in pages()
        for path in INCLUDED.findall(page.read_text())
        if not (page.parent / path).is_file()
    ]
    assert missing == []


def test_every_file_and_folder_that_prose_names_is_there() -> None:
    named = [
        (page, words) for page in pages() for words in spoken(page) if A_PLACE.fullmatch(words)
    ]
    assert len(named) > 30
    assert [f"{name(page)}: {words}" for page, words in named if not (ROOT / words).exists()] == []


def test_every_page_that_code_and_settings_name_is_there() -> None:
    named = {
        (name(path), page)
        for folder in ("airflow_provider_we360", "docs", "example_dags", "tests", ".ci")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.suffix in (".py", "") and "_build" not in path.parts
        for page in re.findall(r"\bdocs/[\w/-]+\.(?:md|svg)", path.read_text(errors="ignore"))
    }
    assert len(named) > 10
    assert sorted(f"{path}: {page}" for path, page in named if not (ROOT / page).exists()) == []


def test_every_page_of_the_documentation_is_linked_from_an_index() -> None:
    listed = {
        page
        for block in all_blocks()
        if block.language == "{toctree}"
        for line in block.text.splitlines()
        if line.strip() and not line.startswith(":")
        for page in (ROOT / block.page).parent.glob(f"{line.strip()}.md")
    }
    built = {page for page in pages() if page.is_relative_to(ROOT / "docs")}
    assert built - listed == {ROOT / "docs" / "index.md"}
