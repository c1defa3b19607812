"""Configure Sphinx for ``make docs``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from airflow_provider_we360 import __version__  # noqa: E402 - needs the path above

project = "airflow-provider-we360"
author = "The airflow-provider-we360 authors"
project_copyright = "The airflow-provider-we360 authors, Apache License 2.0"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "sphinx_design",
    "from_code",
    "what_it_takes",
    "built",
]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sphinx = False
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_favicon = "images/logo.svg"

# Copy the commands alone: no prompt, no output, and no drawing.
copybutton_selector = ", ".join(
    f"div.highlight-{language} pre" for language in ("bash", "console", "json", "python", "sql")
)
copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_line_continuation_character = "\\"

autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = True
# Other projects' names and this package's modules have no pages here.
nitpick_ignore_regex = [("py:.*", r"(?!airflow_provider_we360\.).*"), ("py:mod", r".*")]


def _leave_out_of_search(app: Sphinx, _: object) -> None:
    # Decisions explain the past in the words of a guide, and would outrank the guides.
    if app.env.docname.startswith("adr/"):
        app.env.metadata[app.env.docname]["nosearch"] = ""


def setup(app: Sphinx) -> None:
    """Connect the event handlers of this file."""
    app.connect("doctree-read", _leave_out_of_search)
