"""The provider's metadata. Airflow reads it at each start, so nothing is imported here."""

from __future__ import annotations

from typing import Any

_ELSEWHERE = "Network and other deployments"
"""Section of the form for fields that most companies never need."""

CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "customer_id": {
        "label": "Customer ID",
        "description": "Your We360 tenant; the portal shows it under the profile icon, top right.",
        "schema": {"type": "string", "minLength": 1},
    },
    "timezone": {
        "label": "Time zone",
        "description": "IANA name of the company's time zone, which decides the days of a run. "
        "Default: Asia/Kolkata.",
        "schema": {
            "type": ["string", "null"],
            "examples": [
                "Asia/Kolkata",
                "Asia/Dubai",
                "Asia/Singapore",
                "Europe/London",
                "America/New_York",
            ],
        },
    },
    "token_cache": {
        "label": "Token cache",
        "description": "Where tasks share the token set. Default: an encrypted Variable, for all "
        "tasks of the account.",
        "schema": {
            "type": ["string", "null"],
            "enum": ["variable", "xcom", "memory"],
            "values_display": {
                "variable": "variable: encrypted, one session for all tasks",
                "xcom": "xcom: encrypted, one session for each run with a login task",
                "memory": "memory: each process logs in separately",
            },
        },
    },
    "timeout_s": {
        "label": "Time-out, seconds",
        "description": "How long to wait for each part of a response. Default: 60.",
        "schema": {"type": ["number", "null"], "minimum": 1, "maximum": 3600},
    },
    "auth_url": {
        "label": "Login server",
        "description": "Base URL of the login server, without /realms/... Default: https://auth.in.we360.ai",
        "schema": {"type": ["string", "null"], "section": _ELSEWHERE},
    },
    "realm": {
        "label": "Realm",
        "description": "Realm of the login server. Default: ind-prod",
        "schema": {"type": ["string", "null"], "section": _ELSEWHERE},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "Path on the workers of the CA certificates to trust, if your network "
        "inspects TLS.",
        "schema": {"type": ["string", "null"], "section": _ELSEWHERE},
    },
    "proxy": {
        "label": "Proxy",
        "description": "URL of an HTTP proxy, if the workers need one. Default: as HTTPS_PROXY and "
        "NO_PROXY say.",
        "schema": {"type": ["string", "null"], "section": _ELSEWHERE},
    },
    "allow_http": {
        "label": "Allow http://",
        "description": "Only for a sandbox on localhost. Plain http is refused for any other host.",
        "schema": {"type": ["boolean", "null"], "default": False, "section": _ELSEWHERE},
    },
}

ASSET_URIS: list[dict[str, Any]] = [
    {
        "schemes": ["we360"],
        "handler": "airflow_provider_we360.assets.sanitize_uri",
        "factory": "airflow_provider_we360.assets.create_asset",
        "to_openlineage_converter": "airflow_provider_we360.assets.convert_asset_to_openlineage",
    }
]

FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {"login": "E-mail", "host": "API URL"},
    "placeholders": {
        "login": "airflow@your-company.example",
        "password": "the account's password",
        "host": "default: https://api.in.we360.ai",
        "port": "443 (Test Connection of Airflow 3.3.1 and 3.3.2 needs it)",
        "customer_id": "your-company",
        "timezone": "Asia/Kolkata",
        "timeout_s": "60",
        "auth_url": "https://auth.in.we360.ai",
        "realm": "ind-prod",
    },
}

_MODULES: dict[str, Any] = {
    "integrations": [
        {
            "integration-name": "We360",
            "external-doc-url": "https://docs.we360.ai/",
            "tags": ["service"],
        },
    ],
    "hooks": [
        {"integration-name": "We360", "python-modules": ["airflow_provider_we360.hooks.we360"]}
    ],
    "operators": [
        {
            "integration-name": "We360",
            "python-modules": ["airflow_provider_we360.operators.session"],
        }
    ],
    "sensors": [
        {
            "integration-name": "We360",
            "python-modules": ["airflow_provider_we360.sensors.report"],
        }
    ],
    "triggers": [
        {
            "integration-name": "We360",
            "python-modules": [
                "airflow_provider_we360.triggers.day",
                "airflow_provider_we360.triggers.report",
            ],
        }
    ],
    "transfers": [
        {
            "source-integration-name": "We360",
            "target-integration-name": "Common SQL",
            "python-module": "airflow_provider_we360.transfers.we360_to_sql",
        },
        {
            "source-integration-name": "We360",
            "target-integration-name": "Common IO",
            "python-module": "airflow_provider_we360.transfers.we360_to_object_storage",
        },
        {
            "source-integration-name": "We360",
            "target-integration-name": "Apache Iceberg",
            "python-module": "airflow_provider_we360.transfers.we360_to_lakehouse",
        },
    ],
}
"""Integrations, and the modules that belong to each."""


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata for the entry point ``apache_airflow_provider``."""
    return {
        "package-name": "airflow-provider-we360",
        "name": "We360.ai",
        "description": "Load the workforce reports of `We360.ai <https://we360.ai/>`__ into your "
        "warehouse, each day exactly once: `documentation "
        "<https://OWNER.github.io/airflow-provider-we360/>`__.",
        **_MODULES,
        "asset-uris": ASSET_URIS,
        "dataset-uris": ASSET_URIS,  # the name in Airflow 2
        "extra-links": ["airflow_provider_we360.links.DocumentationLink"],
        "cli": ["airflow_provider_we360.cli.definition.get_we360_cli_commands"],
        "connection-types": [
            {
                "hook-class-name": "airflow_provider_we360.hooks.we360.We360Hook",
                "connection-type": "we360",
                "hook-name": "We360",
                "ui-field-behaviour": FIELD_BEHAVIOUR,
                "conn-fields": CONNECTION_FIELDS,
            }
        ],
    }
