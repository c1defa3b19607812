"""Directives that list what users can set: Connection fields, operator arguments, options."""

from __future__ import annotations

import argparse
import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from docutils import nodes
from from_code import table
from sphinx.util.docutils import SphinxDirective

from airflow_provider_we360.cli.command import build_parser
from airflow_provider_we360.connection import EXTRAS, We360Settings, parse_connection
from airflow_provider_we360.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_we360.sandbox import __main__ as sandbox

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


@dataclass
class _Least:
    """A Connection with only its required fields, so that every other value is a default."""

    conn_id: str | None = "least"
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    login: str | None = "airflow@your-company.example"
    password: str | None = "the account's"
    extra: str | None = '{"customer_id": "your-company"}'


class ConnectionFields(SphinxDirective):
    """``{connection-fields}``: show every field of the Connection with its values and default."""

    def run(self) -> list[nodes.Node]:
        meanings = dict(re.findall(r":param (\w+): (.+)", inspect.getdoc(We360Settings) or ""))
        least = parse_connection(_Least())
        rows = [
            (
                f"`{field}`",
                FIELD_BEHAVIOUR["relabeling"].get(field, field.title()),
                takes,
                left_out,
                meanings[setting],
            )
            for field, takes, left_out, setting in (
                ("login", "text", "required", "login"),
                ("password", "text", "required", "password"),
                ("host", "URL without a path", f"`{str(least.api_url).rstrip('/')}`", "api_url"),
            )
        ]
        rows.append(("`port`", "Port", "number from 1 to 65535", "from Host", "port of the API"))
        rows.append(("`schema`", "(hidden)", "nothing", "empty", "not used"))
        rows += [
            (
                f"extra `{name}`",
                field["label"],
                _takes(field["schema"]),
                _left_out(least, name),
                field["description"],
            )
            for name, field in ((name, CONNECTION_FIELDS[name]) for name in EXTRAS)
        ]
        return [table(("Field", "Form label", "Values", "Default", "Meaning"), rows)]


def _takes(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value)
    if "minimum" in schema:
        return f"number from {schema['minimum']} to {schema['maximum']}"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {"string": "text", "boolean": "`true` or `false`"}[types[0]]


def _left_out(least: We360Settings, name: str) -> str:
    if name == "allow_http":
        return "`false`"
    value = {"timeout_s": f"{least.timeout_s:g}"}.get(name) or getattr(least, name)
    return (
        "required" if name == "customer_id" else f"`{str(value).rstrip('/')}`" if value else "none"
    )


class CommandLine(SphinxDirective):
    """``{command-line} NAME``: show the options of a command, or of the sandbox."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] == "sandbox":
            parser = sandbox.build_parser()
        else:
            parser = _commands()[self.arguments[0]]
        rows = [
            (
                f"`{', '.join(action.option_strings) or action.dest}`",
                ""
                if action.nargs == 0 or not action.option_strings
                else f"`{action.metavar or action.dest.upper()}`",
                (action.help or "") % {"default": action.default},
            )
            for action in parser._actions  # noqa: SLF001 - argparse has no public list
            if action.dest != "help"
        ]
        return [table(("Argument", "Value", "Meaning"), rows)]


def _commands() -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of ``python -m airflow_provider_we360`` by name."""
    actions = build_parser()._actions  # noqa: SLF001 - argparse has no public list
    return next(
        dict(action.choices)
        for action in actions
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )


class Arguments(SphinxDirective):
    """``{arguments} MODULE.OPERATOR``: show its arguments in this package and their defaults."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        operator = getattr(importlib.import_module(module), name)
        rows = [
            (
                f"`{argument.name}`",
                "required" if argument.default is argument.empty else f"`{argument.default!r}`",
                "yes" if argument.name in operator.template_fields else "",
            )
            for argument in _arguments(operator)
        ]
        return [table(("Argument", "Default", "Templated"), rows)]


def _arguments(operator: type) -> Iterator[inspect.Parameter]:
    seen: set[str] = set()
    for kind in operator.__mro__:
        if kind.__module__.startswith("airflow_provider_we360.") and "__init__" in vars(kind):
            for argument in inspect.signature(kind.__init__).parameters.values():  # type: ignore[misc]
                if argument.kind is argument.KEYWORD_ONLY and argument.name not in seen:
                    seen.add(argument.name)
                    yield argument


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives with Sphinx."""
    app.add_directive("arguments", Arguments)
    app.add_directive("connection-fields", ConnectionFields)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
