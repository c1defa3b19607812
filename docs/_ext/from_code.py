"""Directives that generate tables from the code, so that they cannot differ from it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from airflow.providers.common.compat.sdk import AirflowFailException
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from airflow_provider_we360 import errors
from airflow_provider_we360.cli.example import summarize_example
from airflow_provider_we360.client import reports
from airflow_provider_we360.connection import EXTRAS
from airflow_provider_we360.provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from airflow_provider_we360.client.report import Report

KINDS = {
    "text": "text",
    "duration": "bigint, seconds",
    "bigint": "bigint",
    "double": "double",
    "timestamp": "timestamp without zone",
    "date": "date",
}


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> nodes.table:
    """Return a table. Text between backticks becomes code."""
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in header), cols=len(header))
    group += nodes.thead("", _row(header))
    group += nodes.tbody("", *(_row(row) for row in rows))
    return nodes.table("", group, classes=["from-code"])


def _row(cells: Sequence[str]) -> nodes.row:
    return nodes.row(
        "", *(nodes.entry("", nodes.paragraph("", "", *_inline(cell))) for cell in cells)
    )


def _inline(text: str) -> list[nodes.Node]:
    parts = text.split("`")
    return [
        nodes.literal("", part) if i % 2 else nodes.Text(part)
        for i, part in enumerate(parts)
        if part
    ]


class ReportColumns(SphinxDirective):
    """``{report-columns} NAME``: show the columns of a report."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        report = reports.get(self.arguments[0])
        self.env.note_dependency(inspect.getfile(inspect.getmodule(report.body) or reports))
        rows = [
            (
                f"`{column.name}`",
                KINDS[column.kind.value] + ("" if column.confirmed else " (form unconfirmed)"),
                column.description,
                _default_modes(report, column.name),
                "yes" if column.personal else "",
            )
            for column in report.columns.values()
        ]
        return [table(("column", "lands as", "meaning", "default in", "personal"), rows)]


def _default_modes(report: Report, name: str) -> str:
    modes = [
        f"{mode}{' (key)' if name in how.key else ''}"
        for mode, how in report.modes.items()
        if name in how.default_columns
    ]
    return ", ".join(modes)


class ReportList(SphinxDirective):
    """``{report-list}``: show all reports with path, modes and keys."""

    def run(self) -> list[nodes.Node]:
        rows = [
            (
                f"`{name}`",
                f"`{report.path}`",
                "; ".join(
                    f"`{mode}`: {', '.join(f'`{key}`' for key in how.key)}"
                    for mode, how in report.modes.items()
                ),
            )
            for name in reports.names()
            for report in [reports.get(name)]
        ]
        return [table(("Report", "Path", "Modes and row keys"), rows)]


class ErrorTable(SphinxDirective):
    """``{error-table}``: show every error class and whether Airflow retries."""

    header: ClassVar = ("Error", "Retried", "Meaning", "What to do")

    def run(self) -> list[nodes.Node]:
        classes = [
            kind
            for _, kind in inspect.getmembers(errors, inspect.isclass)
            if issubclass(kind, errors.We360Error)
        ]
        classes.sort(key=lambda kind: inspect.getsourcelines(kind)[1])
        return [
            table(
                self.header,
                [
                    (
                        f"`{kind.__name__}`",
                        _is_retried(kind),
                        (inspect.getdoc(kind) or "")
                        .split("\n\n")[0]
                        .replace("``", "`")
                        .replace("\n", " "),
                        kind.remedy,
                    )
                    for kind in classes
                ],
            )
        ]


def _is_retried(kind: type[errors.We360Error]) -> str:
    if issubclass(kind, errors.NoDayInInterval):
        return "no, skipped"
    never = issubclass(kind, AirflowFailException)
    if kind.__subclasses__() and not never:
        return "see its subclasses"
    return "no" if never else "yes"


class ConnectionExtras(SphinxDirective):
    """``{connection-extras}``: show the extra fields of the Connection."""

    def run(self) -> list[nodes.Node]:
        return [
            table(
                ("Extra", "Form label", "Meaning"),
                [
                    (
                        f"`{name}`",
                        CONNECTION_FIELDS[name]["label"],
                        CONNECTION_FIELDS[name]["description"],
                    )
                    for name in EXTRAS
                ],
            )
        ]


class ExampleList(SphinxDirective):
    """``{example-list}``: show each example Dag with its first sentence, linked to its section."""

    def run(self) -> list[nodes.Node]:
        rows = []
        for path in sorted((Path(self.env.srcdir).parent / "example_dags").glob("*.py")):
            self.env.note_dependency(str(path))
            rows.append((path.name, summarize_example(path.read_text())))
        made = table(("File", "What it does"), rows)
        for entry in made.findall(nodes.paragraph):
            if (name := entry.astext()).endswith(".py"):
                entry.clear()
                entry.append(nodes.reference("", name, internal=True, refid=nodes.make_id(name)))
        return [made]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives with Sphinx."""
    app.add_directive("example-list", ExampleList)
    app.add_directive("report-columns", ReportColumns)
    app.add_directive("report-list", ReportList)
    app.add_directive("error-table", ErrorTable)
    app.add_directive("connection-extras", ConnectionExtras)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
