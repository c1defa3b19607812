"""Describe a load for OpenLineage: datasets, columns and counts, never values of rows or IDs.

OpenLineage's packages take 300 ms to import. They are imported only when Airflow's listener calls,
which it does in a process or thread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_we360 import assets

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_we360.sinks.base import LoadPlan, LoadResult, Sink
    from airflow_provider_we360.sinks.dataset import DatasetRef


@dataclass(slots=True)
class TrackedLoad:
    """A load, as far as it has come.

    :param plan: what is to be loaded.
    :param sink: the target.
    :param result: None until the rows are committed.
    """

    plan: LoadPlan
    sink: Sink
    result: LoadResult | None = None

    @property
    def uri(self) -> str | None:
        """The target's URI, for Airflow's assets; None if the target does not name itself."""
        place = self.sink.dataset()
        return None if place is None else place.uri


def build_start(customer_id: str, report: str) -> OperatorLineage[Any, Any]:
    """Return what is known before the load: the report that will be read."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=[Dataset(namespace=assets.namespace(customer_id), name=report)])


def build_end(load: TrackedLoad) -> OperatorLineage[Any, Any]:
    """Return what was read and written, column by column, with row counts if it was committed."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    place = load.sink.dataset()
    outputs = [] if place is None else [_build_output(load, place)]
    return OperatorLineage(inputs=[_build_input(load.plan)], outputs=outputs)


def _build_input(plan: LoadPlan) -> Dataset:
    from airflow.providers.common.compat.openlineage import facet

    fields = [
        facet.SchemaDatasetFacetFields(
            name=column.name, type=column.kind.value, description=column.description or None
        )
        for column in plan.columns
    ]
    return facet.Dataset(
        namespace=assets.namespace(plan.tenant),
        name=plan.report,
        facets={"schema": facet.SchemaDatasetFacet(fields=fields)},
    )


def _build_output(load: TrackedLoad, place: DatasetRef) -> Dataset:
    from airflow.providers.common.compat.openlineage import facet

    plan = load.plan
    fields = [
        facet.SchemaDatasetFacetFields(
            name=place.columns[column.name].name,
            type=place.columns[column.name].type_name,
            description=column.description or None,
        )
        for column in plan.all_columns
    ]
    facets: dict[str, Any] = {
        "schema": facet.SchemaDatasetFacet(fields=fields),
        "documentation": facet.DocumentationDatasetFacet(description=plan.about),
        "columnLineage": facet.ColumnLineageDatasetFacet(fields=_map_columns(plan, place)),
    }
    return facet.OutputDataset(
        namespace=place.namespace,
        name=place.name,
        facets=facets,
        outputFacets=_build_statistics(load.result),
    )


def _map_columns(plan: LoadPlan, place: DatasetRef) -> dict[str, Any]:
    """Return the report's column behind each of the target's, and whether it is pseudonymized."""
    from airflow.providers.common.compat.openlineage import facet

    return {
        place.columns[column.name].name: facet.Fields(
            inputFields=[
                facet.InputField(
                    namespace=assets.namespace(plan.tenant), name=plan.report, field=column.name
                ),
            ],
            transformationType="MASKED" if column.name in plan.pseudonyms else "IDENTITY",
            transformationDescription="pseudonym (HMAC-SHA256)"
            if column.name in plan.pseudonyms
            else "unchanged",
        )
        for column in plan.columns
    }


def _build_statistics(result: LoadResult | None) -> dict[str, Any]:
    from airflow.providers.common.compat.openlineage import facet

    if result is None:
        return {}
    more: dict[str, Any] = (
        {} if result.files is None else {"size": result.size_bytes, "fileCount": result.files}
    )
    return {
        "outputStatistics": facet.OutputStatisticsOutputDatasetFacet(rowCount=result.rows, **more)
    }
