"""Directives that tell what users may give: fields of the Connection, arguments of operators, words of commands."""

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

from airflow_provider_we360.cli.command import add_arguments
from airflow_provider_we360.connection import EXTRAS, We360Settings, parse_connection
from airflow_provider_we360.provider_info import CONNECTION_FIELDS, FIELD_BEHAVIOUR
from airflow_provider_we360.sandbox import __main__ as sandbox

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata


@dataclass
class _Least:
    """The Connection with nothing but what it must have: what else it says are the defaults."""

    conn_id: str | None = "least"
    host: str | None = None
    port: int | None = None
    schema: str | None = None
    login: str | None = "airflow@your-company.example"
    password: str | None = "the account's"
    extra: str | None = '{"customer_id": "your-company"}'


class ConnectionFields(SphinxDirective):
    """``{connection-fields}``: every field of the Connection, what it takes, and what it is where it is left out."""

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
                ("login", "text", "refused", "login"),
                ("password", "text", "refused", "password"),
                ("host", "URL without a path", f"`{str(least.api_url).rstrip('/')}`", "api_url"),
            )
        ]
        rows.append(("`port`", "Port", "number from 1 to 65535", "as Host says", "port of the API"))
        rows.append(("`schema`", "(hidden)", "nothing", "as it must be", "not used"))
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
        return [table(("field", "label in the form", "takes", "left out", "meaning"), rows)]


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
        "refused" if name == "customer_id" else f"`{str(value).rstrip('/')}`" if value else "none"
    )


class CommandLine(SphinxDirective):
    """``{command-line} check`` or ``sandbox``: what the command takes."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        parser = argparse.ArgumentParser()
        if self.arguments[0] == "check":
            add_arguments(parser)
        else:
            parser = sandbox.make_parser()
        rows = [
            (
                f"`{', '.join(action.option_strings) or action.dest}`",
                ""
                if action.nargs == 0 or not action.option_strings
                else f"`{action.metavar or action.dest.upper()}`",
                (action.help or "") % {"default": action.default},
            )
            for action in parser._actions  # noqa: SLF001 - argparse tells them nowhere else
            if action.dest != "help"
        ]
        return [table(("argument", "takes", "meaning"), rows)]


class Arguments(SphinxDirective):
    """``{arguments} MODULE.OPERATOR``: its own arguments and those of its base in this package, with their defaults."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        operator = getattr(importlib.import_module(module), name)
        rows = [
            (
                f"`{argument.name}`",
                "refused" if argument.default is argument.empty else f"`{argument.default!r}`",
                "yes" if argument.name in operator.template_fields else "",
            )
            for argument in _arguments(operator)
        ]
        return [table(("argument", "left out", "templated"), rows)]


def _arguments(operator: type) -> Iterator[inspect.Parameter]:
    told: set[str] = set()
    for kind in operator.__mro__:
        if kind.__module__.startswith("airflow_provider_we360.") and "__init__" in vars(kind):
            for argument in inspect.signature(kind.__init__).parameters.values():  # type: ignore[misc]
                if argument.kind is argument.KEYWORD_ONLY and argument.name not in told:
                    told.add(argument.name)
                    yield argument


def setup(app: Sphinx) -> ExtensionMetadata:
    """Sphinx calls it."""
    app.add_directive("arguments", Arguments)
    app.add_directive("connection-fields", ConnectionFields)
    app.add_directive("command-line", CommandLine)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
