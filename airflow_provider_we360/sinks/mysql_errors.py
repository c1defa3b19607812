"""Error numbers of MySQL and MariaDB that a load can meet, and what to do about them."""

from __future__ import annotations

from airflow_provider_we360.sinks.error_map import ErrorKind


def _kinds(kind: ErrorKind, *numbers: int) -> dict[str, ErrorKind]:
    return {str(number): kind for number in numbers}


_READ_ONLY = "the server takes no writes; connect to the primary, not to a replica"

KINDS = {
    # -1: the driver received something else than an answer, such as the end of the session.
    **_kinds(ErrorKind.LOST, -1, 1053, 1152, 1158, 1159, 1160, 1161, 1184, 1927, 2002, 2003),
    **_kinds(ErrorKind.LOST, 2006, 2013, 2055, 4031),
    **_kinds(ErrorKind.BUSY, 1205, 1213, 3572),  # lock wait timeout, deadlock
    **_kinds(ErrorKind.DENIED, 1044, 1142, 1143, 1227),
    **_kinds(ErrorKind.CONSTRAINT, 1216, 1217, 1451, 1452, 3819, 4025),
    **_kinds(ErrorKind.DOES_NOT_FIT, 1264, 1265, 1292, 1366, 1367, 1406, 1411, 1416, 3140),
    **_kinds(ErrorKind.NO_VALUE, 1048, 1364),
    **_kinds(ErrorKind.KEY_TAKEN, 1062, 1586),
}
HINTS = {
    "1021": "the server's disk is full; free some room there",
    "1049": "create the database first: CREATE DATABASE",
    "1114": "the server has no room left; free some, or raise innodb_temp_data_file_path",
    "1118": "the table has too many columns for one row; name fewer in columns",
    "1153": "the server's max_allowed_packet is smaller than 1 MiB or than a row; raise it",
    "1175": "sql_safe_updates forbids the statement; turn it off for this user",
    "1226": "the user has used up a limit such as MAX_QUERIES_PER_HOUR",
    "1290": _READ_ONLY,
    "1317": "the statement was cancelled; run the task again",
    "1526": "the table has no partition for a day of the window; add it",
    "1665": "the server logs statements, not rows; set binlog_format to ROW or MIXED",
    "1792": _READ_ONLY,
    "1836": _READ_ONLY,
    "1906": "a generated column got a value; leave it out of columns",
    "1969": "the statement was cancelled by max_statement_time; raise it for this user",
    "3024": "the statement was cancelled by max_execution_time; raise it for this user",
    "3750": "the server requires a primary key, and append creates tables without one; use "
    "write_mode='replace_window' or 'merge'",
}
