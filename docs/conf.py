"""How the documentation is built: make docs."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from airflow_provider_we360 import __version__  # noqa: E402 - the folder above must be on the path first

project = "airflow-provider-we360"
author = "The airflow-provider-we360 authors"
project_copyright = "The airflow-provider-we360 authors, Apache License 2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "from_code", "what_it_takes", "built"]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "markdown"}

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"{project} {version}"
html_show_sphinx = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"
nitpicky = True
# Names of other projects have no pages here, nor have our rooms.
nitpick_ignore_regex = [("py:.*", r"(?!airflow_provider_we360\.).*"), ("py:mod", r".*")]
