"""Check the built site: every link within it works, and the search contains every page."""

from __future__ import annotations

import json
from collections import defaultdict
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from sphinx.util import logging

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

_log = logging.getLogger(__name__)


class _Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser passes it
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.names.add(value)


def check_site(app: Sphinx, exception: Exception | None) -> None:
    """Warn about broken links; ``make docs`` turns warnings into errors."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    for page, links in find_broken_links(folder).items():
        _log.warning("%s: broken links: %s", page, ", ".join(links))
    if missing := app.env.found_docs - find_indexed_pages(folder):
        _log.warning("the search does not contain %s", ", ".join(sorted(missing)))


def find_broken_links(folder: Path) -> dict[str, list[str]]:
    """Return the links of each page that lead to no file or no anchor of the site."""
    pages = {path: _Page(path.read_text()) for path in folder.rglob("*.html")}
    found: dict[str, list[str]] = defaultdict(list)
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].names if target in pages else set()
            if not target.exists() or (
                target in pages and parts.fragment and unquote(parts.fragment) not in known
            ):
                found[path.relative_to(folder).as_posix()].append(link)
    return found


def find_indexed_pages(folder: Path) -> set[str]:
    """Return the names of the pages in the search index."""
    text = (folder / "searchindex.js").read_text()
    return set(json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))["docnames"])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the check with Sphinx."""
    app.connect("build-finished", check_site)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
