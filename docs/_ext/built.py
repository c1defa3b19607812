"""Looks at the site once it is built: every link within it leads somewhere, and its search knows every page."""

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
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.names: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser hands it in
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.names.add(value)


def look(app: Sphinx, exception: Exception | None) -> None:
    """Warn of what is broken; ``make docs`` takes a warning for an error."""
    if exception is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir)
    for page, links in broken(folder).items():
        _log.warning("%s: leads nowhere: %s", page, ", ".join(links))
    if missing := app.env.found_docs - searched(folder):
        _log.warning("the search does not know %s", ", ".join(sorted(missing)))


def broken(folder: Path) -> dict[str, list[str]]:
    """Links within the site without a file, or without such a name in it, by page."""
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


def searched(folder: Path) -> set[str]:
    """Names of the pages that the search can find."""
    text = (folder / "searchindex.js").read_text()
    return set(json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))["docnames"])


def setup(app: Sphinx) -> ExtensionMetadata:
    """Sphinx calls it."""
    app.connect("build-finished", look)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
