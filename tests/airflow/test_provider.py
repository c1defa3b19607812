"""What Airflow itself says of the provider."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import airflow
from airflow_provider_we360.connection import EXTRAS, TokenCache
from airflow_provider_we360.hooks.we360 import We360Hook
from airflow_provider_we360.provider_info import CONNECTION_FIELDS, get_provider_info
from support.airflow_line import AIRFLOW


@pytest.fixture(scope="module")
def manager():
    from airflow.providers_manager import ProvidersManager

    return ProvidersManager()


def test_the_metadata_fits_airflows_schema():
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_airflow_finds_the_connection_type_and_its_hook(manager):
    info = manager.hooks["we360"]
    assert info.hook_name == "We360"
    assert info.connection_testable
    assert info.hook_class_name == "airflow_provider_we360.hooks.we360.We360Hook"


def test_the_form_has_a_field_for_exactly_each_known_extra():
    assert set(CONNECTION_FIELDS) == set(EXTRAS)


FORM_NEEDS = pytest.mark.only_if(
    not (3, 0) <= AIRFLOW < (3, 2) or importlib.util.find_spec("flask_appbuilder") is not None,
    reason="Airflow 3.0 and 3.1 make fields of their own for a form only with the FAB provider, whatever the provider",
)


@FORM_NEEDS
def test_the_form_has_help_for_every_field(manager):
    widgets = {
        name.rpartition("__")[2]: widget
        for name, widget in manager.connection_form_widgets.items()
        if name.startswith("extra__we360__")
    }
    assert set(widgets) == set(EXTRAS)
    assert all(field["label"] and field["description"] for field in CONNECTION_FIELDS.values())


def test_the_fields_fit_the_schema_that_airflow_has_for_them():
    schema = Path(airflow.__file__).parent / "provider.yaml.schema.json"
    if not schema.exists():
        pytest.skip("this Airflow describes no fields")
    described = json.loads(schema.read_text())["properties"]["connection-types"]
    jsonschema.validate(get_provider_info()["connection-types"], described)


def test_the_form_requires_only_the_customer_id():
    needed = [
        name for name, field in CONNECTION_FIELDS.items() if "null" not in field["schema"]["type"]
    ]
    assert needed == ["customer_id"]


def test_every_choice_of_token_cache_is_valid_and_explained():
    offered = CONNECTION_FIELDS["token_cache"]["schema"]
    assert offered["enum"] == [*TokenCache] == [*offered["values_display"]]


def test_older_airflow_reads_the_same_form_from_the_hook():
    behaviour = We360Hook.get_ui_field_behaviour()
    assert set(behaviour) == {"hidden_fields", "relabeling", "placeholders"}
    assert behaviour["relabeling"]["login"] == "E-mail"


@pytest.mark.long
def test_the_airflow_command_line_lists_us_without_a_warning():
    code = (
        "import airflow.__main__, contextlib, io, sys\n"
        "from airflow.cli import cli_parser\n"
        "for words in ('get airflow-provider-we360', 'list', 'hooks', 'widgets', 'behaviours'):\n"
        "    args = cli_parser.get_parser().parse_args(['providers', *words.split()]); args.func(args)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", code], capture_output=True, text=True, check=True
    )
    assert "We360" in done.stdout
    assert "customer_id" in done.stdout or FORM_NEEDS.args[0]
    assert not [line for line in done.stderr.splitlines() if "we360" in line.lower()]
