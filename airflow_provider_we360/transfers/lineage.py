"""What a transfer tells OpenLineage: datasets, columns and counts. Never a value of a row, never an id of a person.

OpenLineage's own packages are imported here only when its listener asks, which it does in a process or thread of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_we360 import assets

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_provider_we360.sinks.base import Load, LoadResult, Sink
    from airflow_provider_we360.sinks.place import Place


@dataclass(slots=True)
class Moved:
    """A load, as far as it has come.

    :param load: what was to be moved.
    :param sink: where to.
    :param result: what came of it; None as long as it has not landed.
    """

    load: Load
    sink: Sink
    result: LoadResult | None = None

    @property
    def uri(self) -> str | None:
        """Of the target, for Airflow's assets."""
        place = self.sink.place()
        return None if place is None else place.uri


def of_start(customer_id: str, report: str) -> OperatorLineage[Any, Any]:
    """What is known before the first byte: what will be read."""
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.providers.openlineage.extractors import OperatorLineage

    return OperatorLineage(inputs=[Dataset(namespace=assets.namespace(customer_id), name=report)])


def of_end(moved: Moved) -> OperatorLineage[Any, Any]:
    """What was read, where it landed, which column came of which, and, where it has landed, how many rows."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    place = moved.sink.place()
    outputs = [] if place is None else [_output(moved, place)]
    return OperatorLineage(inputs=[_input(moved.load)], outputs=outputs)


def _input(load: Load) -> Dataset:
    from airflow.providers.common.compat.openlineage import facet

    fields = [
        facet.SchemaDatasetFacetFields(
            name=column.name, type=column.kind.value, description=column.description or None
        )
        for column in load.columns
    ]
    return facet.Dataset(
        namespace=assets.namespace(load.tenant),
        name=load.report,
        facets={"schema": facet.SchemaDatasetFacet(fields=fields)},
    )


def _output(moved: Moved, place: Place) -> Dataset:
    from airflow.providers.common.compat.openlineage import facet

    load = moved.load
    fields = [
        facet.SchemaDatasetFacetFields(
            name=place.columns[column.name].name,
            type=place.columns[column.name].type_name,
            description=column.description or None,
        )
        for column in load.all_columns
    ]
    facets: dict[str, Any] = {
        "schema": facet.SchemaDatasetFacet(fields=fields),
        "documentation": facet.DocumentationDatasetFacet(description=load.about),
        "columnLineage": facet.ColumnLineageDatasetFacet(fields=_origins(load, place)),
    }
    return facet.OutputDataset(
        namespace=place.namespace,
        name=place.name,
        facets=facets,
        outputFacets=_statistics(moved.result),
    )


def _origins(load: Load, place: Place) -> dict[str, Any]:
    """Of which column of the report each column of the target comes, and whether as it is or as a pseudonym."""
    from airflow.providers.common.compat.openlineage import facet

    return {
        place.columns[column.name].name: facet.Fields(
            inputFields=[
                facet.InputField(
                    namespace=assets.namespace(load.tenant), name=load.report, field=column.name
                ),
            ],
            transformationType="MASKED" if column.name in load.pseudonyms else "IDENTITY",
            transformationDescription="pseudonym (HMAC-SHA256)"
            if column.name in load.pseudonyms
            else "as it is",
        )
        for column in load.columns
    }


def _statistics(result: LoadResult | None) -> dict[str, Any]:
    from airflow.providers.common.compat.openlineage import facet

    if result is None:
        return {}
    more: dict[str, Any] = (
        {} if result.files is None else {"size": result.size_bytes, "fileCount": result.files}
    )
    return {
        "outputStatistics": facet.OutputStatisticsOutputDatasetFacet(rowCount=result.rows, **more)
    }
