"""We360ToObjectStorageOperator: a We360 report into files, a file a day, on disk or in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers._base import We360Transfer, one_of

if TYPE_CHECKING:
    from airflow_provider_we360.sinks.base import Sink


class We360ToObjectStorageOperator(We360Transfer):
    """Loads the days of a We360 report into files, a file a day, each exactly once, however often the task runs.

    The file of a day is ``<path>/attendance_date=2026-04-01/we360-<8 hex>.<file_format>``; in ``summary`` mode there is one for
    the window, in ``_we360_window_start=2026-04-01``. The eight hex digits stand for report, mode, account and filters, so the
    next load of the same day and filters writes the same file anew, and no other file is ever touched. All files are finished
    on the worker first; each then takes the place of the old one as a whole.

    :param path: the folder, as Airflow's ``ObjectStoragePath`` takes it: ``s3://bucket/we360``, ``gs://...``, ``abfs://...``,
        ``file:///data/we360``, or an absolute path on the worker. It may be absent. (templated)
    :param object_storage_conn_id: Connection of the store; left out: the one in ``path`` (``s3://my_conn@bucket/we360``), or
        what the worker itself has. (templated)
    :param file_format: ``parquet``, ``jsonl`` (a JSON object a line) or ``csv``. (templated)
    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param mode: ``detailed``: a row per person and day; ``summary``: a row per person over the window. (templated)
    :param columns: what to load; left out: the report's default list, which names nobody. The key columns always come
        along. (templated)
    :param group_ids: only these groups, a list of UUIDs. (templated)
    :param user_ids: only these people, a list of UUIDs. (templated)
    :param shift_ids: only these shifts, a list of UUIDs. (templated)
    :param report_params: further inputs of the report, where it has any. (templated)
    :param window_start: first day, or start of an interval; left out, the run decides (see "Windows" in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval. (templated)
    :param timezone: IANA name of the zone in which days are counted; left out: the We360 Connection's. (templated)
    :param lookback_days: so many days before the window are loaded again, as We360 restates the past. (templated)
    :param on_empty: where a day whose file holds rows would lose them, or more than half of at least 20: ``fail`` changes
        nothing and fails, ``keep`` leaves that file as it is, ``replace`` writes or removes it. (templated)
    :param column_types: type of a column by name, where it shall not be the report's own: ``text``, ``bigint``, ``double``,
        ``date``, ``timestamp``, ``duration``. (templated)
    :param pseudonymize: columns that shall hold pseudonyms, and where the key is: ``{"email": "conn:we360_pseudonyms"}``, the
        password of that Connection, or ``"var:NAME"``, a Variable that Airflow masks (docs: "Privacy"). (templated)
    :param max_parallel_requests: days that are asked for at once, 1 to 32.
    :returns: ``{"report", "window", "rows", "slices", "requests", "path", "seconds"}``, never rows.
    """

    template_fields: Sequence[str] = (
        *We360Transfer.template_fields,
        "path",
        "object_storage_conn_id",
        "file_format",
    )
    filters_lie_apart: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: str,
        object_storage_conn_id: str | None = None,
        file_format: str = "parquet",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.path = path
        self.object_storage_conn_id = object_storage_conn_id
        self.file_format = file_format

    def _sink(self) -> Sink:
        from airflow_provider_we360.sinks import formats
        from airflow_provider_we360.sinks.files import FileSink
        from airflow_provider_we360.sinks.storage import storage_for

        file_format = one_of(formats.FileFormat, self.file_format, "file_format")
        if not str(self.path or "").strip():
            raise We360ConfigError(
                "path: is empty; name a folder, such as s3://bucket/we360 or /data/we360"
            )
        storage = storage_for(str(self.path).strip(), self.object_storage_conn_id or None)
        return FileSink(storage, formats.get(file_format), file_format.value)

    @property
    def _target(self) -> dict[str, str]:
        return {"path": str(self.path)}

    @property
    def _destination(self) -> str:
        return f"files in {self.path}, {self.file_format}"
