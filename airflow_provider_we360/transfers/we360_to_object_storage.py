"""We360ToObjectStorageOperator: load a We360 report into files, on disk or in an object store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_we360.arguments.values import read_choice, read_required_text, read_text
from airflow_provider_we360.errors import We360ConfigError
from airflow_provider_we360.transfers.base import We360Transfer

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from airflow_provider_we360.arguments.signatures import FileFormatChoice, TransferArguments
    from airflow_provider_we360.sinks.base import Sink

_TARGET_FIELDS = ("path", "object_storage_conn_id", "file_format")
PATH = "a folder, such as s3://bucket/we360 or /data/we360"


class We360ToObjectStorageOperator(We360Transfer):
    """Load the days of a We360 report into files, one per day, however often the task runs.

    The file of a day is ``<path>/attendance_date=2026-04-01/we360-<8 hex>.<file_format>``. In
    ``summary`` mode there is one for the window, in ``_we360_window_start=2026-04-01``. The eight
    hex digits stand for report, mode, account and filters, so the next load of the same day and
    filters overwrites the same file and no other. All files are completed on the worker first; each
    then replaces the old one as a whole.

    :param path: the folder, as Airflow's ``ObjectStoragePath`` accepts it: ``s3://bucket/we360``,
        ``gs://...``, ``abfs://...``, ``file:///data/we360``, or an absolute path on the worker. It
        is created if needed. (templated)
    :param object_storage_conn_id: Connection of the store. Default: the one in ``path``
        (``s3://my_conn@bucket/we360``), or the worker's own credentials. (templated)
    :param file_format: ``parquet``, ``jsonl`` (one JSON object per line) or ``csv``. (templated)
    :param we360_conn_id: the We360 account, a Connection of type ``we360``. (templated)
    :param report: name of the report. (templated)
    :param mode: ``detailed``: a row per person and day; ``summary``: a row per person over the
        window. (templated)
    :param columns: columns to load. Default: the report's own list, which contains no personal
        columns. The key columns are always included. (templated)
    :param group_ids: load only these groups, a list of UUIDs. (templated)
    :param user_ids: load only these people, a list of UUIDs. (templated)
    :param shift_ids: load only these shifts, a list of UUIDs. (templated)
    :param report_params: further inputs of the report, if it has any. (templated)
    :param window_start: first day, or start of an interval. Default: the run decides (see "Windows"
        in the docs). (templated)
    :param window_end: last day, inclusive, or end of an interval. (templated)
    :param timezone: IANA name of the time zone in which days are counted. Default: the one of the
        We360 Connection. (templated)
    :param lookback_days: number of days before the window to load again, because We360 corrects
        past days. (templated)
    :param on_empty: what to do if a file's row count would drop to zero, or by more than half
        (files with at least 20 rows): ``fail`` changes nothing and fails the task, ``keep`` keeps
        that file, ``replace`` overwrites or removes it. (templated)
    :param column_types: type by column name, if it should differ from the report's: ``text``,
        ``bigint``, ``double``, ``date``, ``timestamp``, ``duration``. In a template, write
        ``{{ ... | tojson }}`` or set ``render_template_as_native_obj=True`` on the Dag. (templated)
    :param pseudonymize: columns to pseudonymize, and where the key is stored:
        ``{"email": "conn:we360_pseudonyms"}``, the password of that Connection, or ``"var:NAME"``,
        a Variable that Airflow masks (docs: "Privacy"). (templated)
    :param max_parallel_requests: number of days requested at the same time, 1 to 32.
    :param partition_events: make each loaded day a partition of the outlets, for Dags with a
        ``PartitionedAssetTimetable`` (Airflow 3.3; no effect before). Airflow does not start Dags
        without partitions for such an event.
    :returns: ``{"report", "window", "rows", "days", "requests", "path", "seconds"}``, never rows.
    """

    template_fields: Sequence[str] = (
        *We360Transfer.template_fields,
        *_TARGET_FIELDS,
    )
    separates_filters: ClassVar[bool] = True

    def __init__(
        self,
        *,
        path: str | os.PathLike[str],
        object_storage_conn_id: str | None = None,
        file_format: FileFormatChoice = "parquet",
        **kwargs: Unpack[TransferArguments],
    ) -> None:
        if "complete_since" in kwargs:
            raise We360ConfigError(
                "complete_since: needs a load log, which files do not have: a folder cannot show "
                "that an empty day was loaded, nor when. Load a table, or load the missed days with "
                "window_start and window_end"
            )
        super().__init__(**kwargs)
        self.path = path
        self.object_storage_conn_id = object_storage_conn_id
        self.file_format = file_format
        self._check_target_literals()

    def _check_target_literals(self) -> None:
        from airflow_provider_we360.arguments.literals import find_literals
        from airflow_provider_we360.sinks.formats import FileFormat

        given = find_literals(self, _TARGET_FIELDS)
        if "path" in given:
            read_required_text(given["path"], "path", PATH)
        read_text(given.get("object_storage_conn_id"), "object_storage_conn_id")
        read_choice(FileFormat, given.get("file_format"), "file_format", FileFormat.PARQUET)

    def _build_sink(self) -> Sink:
        from airflow_provider_we360.sinks import formats
        from airflow_provider_we360.sinks.files import FileSink
        from airflow_provider_we360.sinks.storage import storage_for

        default = formats.FileFormat.PARQUET
        chosen = read_choice(formats.FileFormat, self.file_format, "file_format", default)
        storage = storage_for(
            read_required_text(self.path, "path", PATH),
            read_text(self.object_storage_conn_id, "object_storage_conn_id"),
        )
        return FileSink(storage, formats.get(chosen), chosen.value)

    @property
    def _target(self) -> dict[str, str]:
        return {"path": str(self.path)}

    @property
    def _destination(self) -> str:
        chosen = read_text(self.file_format, "file_format") or "parquet"
        return f"files in {self.path}, file_format {chosen}"
