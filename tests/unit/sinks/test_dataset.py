"""Folders and tables, named as lineage tools name them."""

from __future__ import annotations

import pytest

from airflow_provider_we360.sinks import dataset


@pytest.mark.parametrize(
    ("path", "namespace", "name", "uri"),
    [
        ("s3://bucket/hr/we360", "s3://bucket", "hr/we360", "s3://bucket/hr/we360"),
        ("s3a://my_conn@bucket/hr/we360/", "s3://bucket", "hr/we360", "s3://bucket/hr/we360"),
        ("gcs://bucket/we360", "gs://bucket", "we360", "gs://bucket/we360"),
        ("abfs://container/we360", "abfs://container", "we360", "abfs://container/we360"),
        ("s3://bucket", "s3://bucket", "/", "s3://bucket"),
        ("/data/we360", "file", "/data/we360", "file:///data/we360"),
        ("file:///data/we360/", "file", "/data/we360", "file:///data/we360"),
    ],
)
def test_a_folder_is_named_without_its_connection(path, namespace, name, uri):
    found = dataset.folder_dataset(path, {})
    assert (found.namespace, found.name, found.uri) == (namespace, name, uri)


@pytest.mark.parametrize(
    ("namespace", "parts", "name", "uri"),
    [
        (
            "postgres://db:5432",
            ("hr", "public", "days"),
            "hr.public.days",
            "postgres://db:5432/hr/public/days",
        ),
        (
            "bigquery",
            ("my-project", "hr", "days"),
            "my-project.hr.days",
            "bigquery://my-project/hr/days",
        ),
        (
            "duckdb:///w.duckdb",
            ("my w", "main", "days"),
            "my w.main.days",
            "duckdb:///w.duckdb/my%20w/main/days",
        ),
    ],
)
def test_a_table_is_named_by_server_and_full_name(namespace, parts, name, uri):
    found = dataset.table_dataset(namespace, parts, {})
    assert (found.namespace, found.name, found.uri) == (namespace, name, uri)
