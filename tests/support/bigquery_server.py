"""A small BigQuery: the REST API as far as a load needs it, by its public reference, with DuckDB beneath.

What it holds to: REQUIRED and types, snapshots, DDL refused within a transaction, keys that nobody enforces, and the rule that
of two transactions which change rows of one table the later is taken back. What it does not play: IAM, quotas, time, prices.
"""

from __future__ import annotations

import io
import json
import re
import threading
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
LOCATION = "EU"
TYPES = {
    "BIGINT": "INTEGER",
    "INTEGER": "INTEGER",
    "DOUBLE": "FLOAT",
    "VARCHAR": "STRING",
    "DATE": "DATE",
    "TIMESTAMP": "DATETIME",
}
TYPES |= {"TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "BOOLEAN": "BOOLEAN"}
STORED = {
    "INT64": "BIGINT",
    "INTEGER": "BIGINT",
    "FLOAT64": "DOUBLE",
    "FLOAT": "DOUBLE",
    "STRING": "VARCHAR",
    "DATE": "DATE",
}
STORED |= {"DATETIME": "TIMESTAMP", "TIMESTAMP": "TIMESTAMPTZ"}
ABORTED = "Transaction is aborted due to concurrent update against table {}. Transaction ID: 1"


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message

    @property
    def told(self) -> Json:
        return {"reason": self.reason, "message": self.message}


@dataclass
class Session:
    """A session, with the one transaction that may be open in it."""

    connection: Any
    snapshot: int | None = None
    """The number of the last commit that the transaction sees; None outside of one."""
    changed: set[str] = field(default_factory=set)


class BigQuery:
    """The data and the jobs."""

    def __init__(self) -> None:
        import duckdb

        self.lock = threading.RLock()
        self.database = duckdb.connect()
        self.database.execute("SET GLOBAL TimeZone = 'UTC'")
        self.sessions: dict[str, Session] = {}
        self.jobs: dict[str, Json] = {}
        self.about: dict[str, Json] = {}
        self.commits = 0
        self.changed_at: dict[str, int] = {}
        self.refusals: dict[str, Refused] = {}
        """What the next job whose text matches is answered, by pattern: how a test plays what only the real one does."""

    # Datasets and tables

    def make_dataset(self, name: str) -> None:
        self.database.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"')

    def dataset(self, project: str, name: str) -> Json:
        if not self._all("SELECT 1 FROM duckdb_schemas() WHERE schema_name = ?", [name]):
            raise Refused(404, "notFound", f"Not found: Dataset {project}:{name}")
        return {"datasetReference": {"projectId": project, "datasetId": name}, "location": LOCATION}

    def make_table(self, project: str, dataset: str, resource: Json) -> Json:
        self.dataset(project, dataset)
        name = resource["tableReference"]["tableId"]
        if self._is_there(dataset, name):
            raise Refused(409, "duplicate", f"Already Exists: Table {project}:{dataset}.{name}")
        columns = [
            f'"{c["name"]}" {STORED[c["type"]]}{" NOT NULL" if c.get("mode") == "REQUIRED" else ""}'
            for c in resource["schema"]["fields"]
        ]
        self.database.execute(f'CREATE TABLE "{dataset}"."{name}" ({", ".join(columns)})')
        texts = {
            c["name"].lower(): c["description"]
            for c in resource["schema"]["fields"]
            if c.get("description")
        }
        kept = (
            "description",
            "expirationTime",
            "timePartitioning",
            "clustering",
            "tableConstraints",
        )
        self.about[f"{dataset}.{name}".lower()] = {
            k: resource[k] for k in kept if k in resource
        } | {"texts": texts}
        return self.table(project, dataset, name)

    def table(self, project: str, dataset: str, name: str) -> Json:
        self.dataset(project, dataset)
        if not self._is_there(dataset, name):
            raise Refused(404, "notFound", f"Not found: Table {project}:{dataset}.{name}")
        about = dict(self.about.get(f"{dataset}.{name}".lower(), {}))
        texts = about.pop("texts", {})
        fields = []
        for column, kind, nullable, default in self._all(
            "SELECT column_name, data_type, is_nullable, column_default FROM duckdb_columns()"
            " WHERE schema_name = ? AND lower(table_name) = lower(?) ORDER BY column_index",
            [dataset, name],
        ):
            one = {
                "name": column,
                "type": TYPES[kind],
                "mode": "NULLABLE" if nullable else "REQUIRED",
            }
            one |= {"description": texts[column.lower()]} if column.lower() in texts else {}
            one |= {"defaultValueExpression": default} if default else {}
            fields.append(one)
        reference = {"projectId": project, "datasetId": dataset, "tableId": name}
        return {"tableReference": reference, "schema": {"fields": fields}, "type": "TABLE", **about}

    def drop_table(self, project: str, dataset: str, name: str) -> Json:
        self.table(project, dataset, name)
        self.database.execute(f'DROP TABLE "{dataset}"."{name}"')
        return {}

    def _is_there(self, dataset: str, name: str) -> bool:
        return bool(
            self._all(
                "SELECT 1 FROM duckdb_tables() WHERE schema_name = ? AND lower(table_name) = lower(?)",
                [dataset, name],
            )
        )

    def _all(self, sql: str, parameters: list[object]) -> list[tuple[Any, ...]]:
        return self.database.cursor().execute(sql, parameters).fetchall()

    # Jobs

    def job(self, project: str, job: Json, content: bytes = b"") -> Json:
        """Do it at once; how it went stands in the job, as with the real one."""
        reference = {"location": LOCATION, **job["jobReference"], "projectId": project}
        answer: Json = {
            "jobReference": reference,
            "configuration": job["configuration"],
            "statistics": {},
            "status": {},
        }
        try:
            self._refuse_as_told(job["configuration"])
            if "load" in job["configuration"]:
                self._load(job["configuration"]["load"], content)
                job["configuration"]["jobType"] = "LOAD"
            else:
                job["configuration"]["jobType"] = "QUERY"
                self._query(job["configuration"]["query"], answer)
        except Refused as refused:
            answer["status"] = {"errorResult": refused.told, "errors": [refused.told]}
        answer["status"]["state"] = "DONE"
        self.jobs[reference["jobId"]] = answer
        return answer

    def _refuse_as_told(self, configuration: Json) -> None:
        text = configuration["query"]["query"] if "query" in configuration else "LOAD"
        for pattern in list(self.refusals):
            if re.match(pattern, text):
                raise self.refusals.pop(pattern)

    def _load(self, load: Json, content: bytes) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        assert (load["sourceFormat"], load["createDisposition"]) == ("PARQUET", "CREATE_NEVER")
        to = load["destinationTable"]
        there = {
            c["name"]: c
            for c in self.table(to["projectId"], to["datasetId"], to["tableId"])["schema"]["fields"]
        }
        rows = parquet.read_table(io.BytesIO(content))
        for column in rows.schema:
            if str(column.type) not in ARROW[there[column.name]["type"]]:
                raise Refused(
                    400,
                    "invalid",
                    f"Error while reading data: field {column.name} is {column.type}",
                )
        assert isinstance(rows, pa.Table)
        cursor = self.database.cursor()
        cursor.register("coming", rows)
        names = ", ".join(f'"{name}"' for name in rows.column_names)
        cursor.execute(
            f'INSERT INTO "{to["datasetId"]}"."{to["tableId"]}" ({names}) SELECT {names} FROM coming'
        )

    def _query(self, query: Json, answer: Json) -> None:
        assert query.get("useLegacySql") is False
        text = query["query"].strip()
        session = self._session(query, answer)
        statistics: Json = {}
        answer["statistics"]["query"] = statistics
        if re.fullmatch(r"(?i)CALL BQ\.ABORT_SESSION\(\)", text):
            self._end(session)
            self.sessions = {key: one for key, one in self.sessions.items() if one is not session}
            statistics["statementType"] = "CALL"
        elif match := re.fullmatch(r"(?i)(BEGIN|COMMIT|ROLLBACK)( TRANSACTION)?", text):
            statistics["statementType"] = f"{match[1].upper()}_TRANSACTION"
            self._transaction(session, match[1].upper())
        else:
            Statement(self, session, query).run(statistics, answer)

    def _session(self, query: Json, answer: Json) -> Session:
        key = next(
            (
                one["value"]
                for one in query.get("connectionProperties", ())
                if one["key"] == "session_id"
            ),
            None,
        )
        if query.get("createSession"):
            key = uuid.uuid4().hex
            self.sessions[key] = Session(self.database.cursor())
        if key is None:
            return Session(self.database.cursor())
        if key not in self.sessions:
            raise Refused(400, "invalid", "Session is not found or has ended")
        answer["statistics"]["sessionInfo"] = {"sessionId": key}
        return self.sessions[key]

    def _transaction(self, session: Session, word: str) -> None:
        if word == "BEGIN":
            if session.snapshot is not None:
                raise Refused(400, "invalidQuery", "Transactions cannot be nested")
            session.connection.execute("BEGIN")
            session.connection.execute(
                "SELECT count(*) FROM duckdb_tables()"
            ).fetchall()  # takes the snapshot
            session.snapshot = self.commits
            return
        if session.snapshot is None:
            raise Refused(400, "invalidQuery", "There is no transaction")
        if word == "COMMIT":
            session.connection.execute("COMMIT")
            self.noted(session.changed)
            session.snapshot, session.changed = None, set()
        else:
            self._end(session)

    def noted(self, changed: set[str]) -> None:
        self.commits += 1
        self.changed_at.update(dict.fromkeys(changed, self.commits))

    def _end(self, session: Session) -> None:
        if session.snapshot is not None:
            session.connection.execute("ROLLBACK")
        session.snapshot, session.changed = None, set()

    def require_alone(self, session: Session, table: str) -> None:
        """The documented rule: one transaction at a time changes rows of a table, and none changes what it cannot see."""
        others = any(table in one.changed for one in self.sessions.values() if one is not session)
        later = session.snapshot is not None and self.changed_at.get(table, 0) > session.snapshot
        if others or later:
            self._end(session)
            raise Refused(400, "invalidQuery", ABORTED.format(table))

    def aborted(self, session: Session, told: str) -> Refused:
        self._end(session)
        return Refused(400, "invalidQuery", ABORTED.format(told))


ARROW = {
    "STRING": {"string"},
    "INTEGER": {"int64"},
    "FLOAT": {"double"},
    "DATE": {"date32[day]"},
    "DATETIME": {"timestamp[us]"},
    "TIMESTAMP": {"timestamp[us, tz=UTC]"},
}


class Statement:
    """One statement of SQL, from BigQuery's dialect to DuckDB's."""

    def __init__(self, owner: BigQuery, session: Session, query: Json) -> None:
        import sqlglot
        from sqlglot import expressions as exp

        self.owner, self.session, self.exp = owner, session, exp
        try:
            self.tree = sqlglot.parse_one(query["query"], read="bigquery")
        except sqlglot.errors.ParseError:
            raise Refused(400, "invalidQuery", "Syntax error") from None
        default = query.get("defaultDataset", {}).get("datasetId")
        for table in list(self.tree.find_all(exp.Table)):
            if table.name.upper() == "INFORMATION_SCHEMA.TABLES":
                table.replace(exp.table_("tables", db="information_schema"))
                continue
            table.set("catalog", None)
            if not table.db and default:
                table.set("db", exp.to_identifier(default))
        self.parameters = [_parameter(one) for one in query.get("queryParameters", ())]

    def run(self, statistics: Json, answer: Json) -> None:
        import duckdb

        exp, name = self.exp, self._target()
        kinds = {exp.Create: "CREATE_TABLE", exp.Alter: "ALTER_TABLE", exp.Drop: "DROP_TABLE"}
        kinds |= {exp.Insert: "INSERT", exp.Update: "UPDATE", exp.Delete: "DELETE"}
        kind = kinds.get(type(self.tree), "SELECT")
        statistics["statementType"] = kind
        if kind.endswith("_TABLE") and self.session.snapshot is not None:
            raise Refused(400, "invalidQuery", f"{kind} is not supported within a transaction")
        if kind in ("UPDATE", "DELETE"):
            self.owner.require_alone(self.session, name)
        try:
            found = self._executed(kind)
        except duckdb.TransactionException:
            raise self.owner.aborted(self.session, name) from None
        except duckdb.ConstraintException as error:
            column = re.search(r"NOT NULL constraint failed: \S+\.(\w+)", str(error))
            told = f"Required field {column[1]} cannot be null" if column else "Constraint"
            raise Refused(400, "invalidQuery", told) from None
        except duckdb.Error as error:
            raise Refused(400, "invalidQuery", str(error)) from None
        if kind == "CREATE_TABLE":
            self._note_options(name)
        if kind in ("INSERT", "UPDATE", "DELETE"):
            (count,) = found.column(0).to_pylist()
            statistics["numDmlAffectedRows"] = str(count)
            if count and self.session.snapshot is None:
                self.owner.noted({name})
            elif count and kind != "INSERT":
                self.session.changed.add(name)
        elif kind == "SELECT":
            answer["rows"] = found

    def _note_options(self, name: str) -> None:
        options = {
            one.name: one.args["value"]
            for one in self.tree.find_all(self.exp.Property)
            if "value" in one.args
        }
        about = self.owner.about.setdefault(name, {})
        if "description" in options:
            about["description"] = options["description"].name
        if "expiration_timestamp" in options:
            moment = f"SELECT epoch_ms({options['expiration_timestamp'].sql('duckdb')})"
            about["expirationTime"] = str(self.session.connection.execute(moment).fetchall()[0][0])

    def _target(self) -> str:
        table = self.tree.find(self.exp.Table)
        return f"{table.db}.{table.name}".lower() if table is not None else ""

    def _executed(self, kind: str) -> Any:
        if kind != "ALTER_TABLE":
            sql = self.tree.sql("duckdb", unsupported_level=None)
            with warnings.catch_warnings(action="ignore"):  # of speed, which is not asked for here
                return self.session.connection.execute(sql, self.parameters).to_arrow_table()
        texts = self.owner.about.setdefault(self._target(), {}).setdefault("texts", {})
        for action in self.tree.args["actions"]:  # DuckDB takes one at a time
            one = self.tree.copy()
            one.set("actions", [action.copy()])
            self.session.connection.execute(one.sql("duckdb"))
            for about in action.find_all(self.exp.Property):
                texts[action.name.lower()] = about.args["value"].name
        return None


def _parameter(one: Json) -> object:
    import datetime as dt

    value, kind = one["parameterValue"]["value"], one["parameterType"]["type"]
    if kind == "INT64":
        return int(value)
    if kind == "DATE":
        return dt.date.fromisoformat(value)
    if kind in ("TIMESTAMP", "DATETIME"):
        return dt.datetime.fromisoformat(value)
    assert kind == "STRING", kind
    return value


def _cells(rows: Any) -> Json:
    """The answer to a query as JSON tells it."""
    import pyarrow as pa

    fields, columns = [], []
    names = {
        "int64": "INTEGER",
        "int32": "INTEGER",
        "double": "FLOAT",
        "date32[day]": "DATE",
        "timestamp[us]": "DATETIME",
    }
    for column in rows.schema:
        kind = names.get(str(column.type), "STRING")
        values = rows.column(column.name)
        if str(column.type).startswith("timestamp[us, tz"):
            kind, values = "TIMESTAMP", values.cast(pa.int64())
        fields.append({"name": column.name, "type": kind, "mode": "NULLABLE"})
        plain = values.to_pylist()
        columns.append(
            [
                None if v is None else v.isoformat() if kind in ("DATE", "DATETIME") else str(v)
                for v in plain
            ]
        )
    told = [{"f": [{"v": value} for value in row]} for row in zip(*columns, strict=True)]
    return {"schema": {"fields": fields}, "rows": told, "totalRows": str(rows.num_rows)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    owner: BigQuery
    uploads: dict[str, tuple[str, Json, bytearray]]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        pass

    def _answer(self, status: int, body: Json, **headers: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _serve(self) -> None:
        url = urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if "/upload/" in url.path:
                self._upload(url.path, parse_qs(url.query), content)
            else:
                with self.owner.lock:
                    body = self._route(
                        url.path, parse_qs(url.query), json.loads(content) if content else {}
                    )
                self._answer(200, body)
        except Refused as refused:
            told = {"code": refused.status, "message": refused.message, "errors": [refused.told]}
            self._answer(refused.status, {"error": told})

    do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the base class calls them so

    def _route(self, path: str, query: dict[str, list[str]], body: Json) -> Json:
        parts = path.removeprefix("/bigquery/v2/projects/").split("/")
        match self.command, parts:
            case "GET", [project, "datasets", dataset]:
                return self.owner.dataset(project, dataset)
            case "POST", [project, "datasets", dataset, "tables"]:
                return self.owner.make_table(project, dataset, body)
            case "GET", [project, "datasets", dataset, "tables", table]:
                return self.owner.table(project, dataset, table)
            case "DELETE", [project, "datasets", dataset, "tables", table]:
                return self.owner.drop_table(project, dataset, table)
            case "POST", [project, "jobs"]:
                return {
                    key: value
                    for key, value in self.owner.job(project, body).items()
                    if key != "rows"
                }
            case "GET", [_, "jobs", job]:
                return {key: value for key, value in self.owner.jobs[job].items() if key != "rows"}
            case "GET", [_, "queries", job]:
                return self._results(self.owner.jobs[job], query)
        raise Refused(501, "notImplemented", f"{self.command} {path}")

    def _results(self, job: Json, query: dict[str, list[str]]) -> Json:
        if told := job["status"].get("errorResult"):
            raise Refused(400, told["reason"], told["message"])
        answer: Json = {"jobReference": job["jobReference"], "jobComplete": True}
        if "rows" in job:
            answer |= _cells(job["rows"])
            if query.get("maxResults") == ["0"]:
                del answer["rows"]
        return answer

    def _upload(self, path: str, query: dict[str, list[str]], content: bytes) -> None:
        if self.command == "POST":
            (project,) = re.findall(r"/projects/([^/]+)/jobs", path)
            key = uuid.uuid4().hex
            self.uploads[key] = (project, json.loads(content), bytearray())
            self._answer(
                200,
                {},
                Location=f"http://{self.headers['Host']}{path}?uploadType=resumable&upload_id={key}",
            )
            return
        project, job, received = self.uploads[query["upload_id"][0]]
        received += content
        if self.headers["Content-Range"].endswith("/*"):
            self._answer(308, {}, Range=f"bytes=0-{len(received) - 1}")
            return
        with self.owner.lock:
            self._answer(200, self.owner.job(project, job, bytes(received)))


@contextmanager
def bigquery_server() -> Iterator[tuple[BigQuery, str]]:
    """A BigQuery of this machine, and its address."""
    owner = BigQuery()
    handler = type("Handler", (_Handler,), {"owner": owner, "uploads": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
    )
    thread.start()
    try:
        yield owner, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
