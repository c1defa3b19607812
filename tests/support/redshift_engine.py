"""The stand-in for Redshift: its real hook and driver, a real PostgreSQL, an S3 of this machine, and COPY played between them.

PostgreSQL speaks the same protocol, but for the parameters with which a session begins. What Redshift does otherwise is done
here: statements that it does not know are refused, and primary keys are not enforced.
"""

from __future__ import annotations

import io
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, ClassVar

from support.engines import Engine, _Watched

BUCKET = "we360-staging"
ROOT = f"s3://{BUCKET}/loads"
ROLE = "arn:aws:iam::123456789012:role/we360-copy"
KNOWN = {b"user", b"database", b"application_name"}

_COPY = re.compile(
    r"COPY (?P<table>\"\w+\") FROM 's3://(?P<bucket>[^/']+)/(?P<prefix>[^']+)' "
    r"IAM_ROLE (?:default|'arn:aws:iam::\d{12}:role/[^']+') FORMAT AS PARQUET"
)
_GRAMMAR = re.compile(
    r"(BEGIN|COMMIT|ROLLBACK)|CREATE (TEMPORARY )?TABLE .*|COMMENT ON (TABLE|COLUMN) .*|DROP TABLE \S+"
    r"|ALTER TABLE \S+ (ADD COLUMN \S+ [^,]+|DROP COLUMN \S+)|(RESET|SET) statement_timeout( TO \d+)?"
    r"|SET timezone TO 'UTC'|SET datestyle TO 'ISO, YMD'"
    r'|LOCK ("\w+"\.)?"\w+"|(SELECT|DELETE FROM|INSERT INTO|UPDATE)\s.*',
    re.DOTALL,
)
_UNKNOWN = re.compile(r"to_regclass|ON CONFLICT|\blongtext\b|\bRETURNING\b|lock_timeout")


class Redshift(Engine):
    conn_type: ClassVar[str] = "redshift"
    text = "VARCHAR(1000)"
    longest_text: ClassVar[int] = 65535
    enforces_keys: ClassVar[bool] = False

    def __init__(
        self, port: int, s3_url: str, login: str = "postgres", staging: object = None, **extra: Any
    ) -> None:
        self.s3_url = s3_url
        self.staging = (
            {"we360_staging": ROOT, "we360_iam_role": ROLE} if staging is None else staging
        )
        place = {
            "host": "127.0.0.1",
            "port": port,
            "login": login,
            "password": "unused",
            "schema": "postgres",
        }
        super().__init__({**place, "extra": {"ssl": False, **extra}})

    def connect_by_environment(self) -> None:
        super().connect_by_environment()
        extra = {
            "endpoint_url": self.s3_url,
            "region_name": "us-east-1",
            "service_config": {"redshift": self.staging},
        }
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(
            {"conn_type": "aws", "login": "key", "password": "secret", "extra": extra}
        )

    def hook(self) -> Any:
        return self.hook_with(lambda sql: None)

    def hook_with(self, before: Callable[[str], None]) -> Any:
        from airflow.providers.amazon.aws.hooks.redshift_sql import RedshiftSQLHook

        engine = self

        class Standing(RedshiftSQLHook):
            def get_conn(self) -> Any:
                return _Watched(_Connection(super().get_conn(), engine.files), before)

        return Standing(redshift_conn_id=self.conn_id)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in super().execute(*statements)]

    @property
    def client(self) -> Any:
        return _s3(self.s3_url)

    def files(self, bucket: str = BUCKET, prefix: str = "") -> dict[str, bytes]:
        """All objects whose name begins so."""
        found = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", ())
        return {
            one["Key"]: self.client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read()
            for one in found
        }


@cache
def _s3(url: str) -> Any:
    import boto3

    login = {
        "aws_access_key_id": "key",
        "aws_secret_access_key": "secret",
        "region_name": "us-east-1",
    }
    return boto3.client("s3", endpoint_url=url, **login)


class _Connection:
    """The driver's connection; its cursors know COPY."""

    def __init__(self, inner: Any, files: Callable[[str, str], dict[str, bytes]]) -> None:
        object.__setattr__(self, "_inner", inner)
        object.__setattr__(self, "_files", files)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._inner, name, value)

    def cursor(self) -> Any:
        return _Cursor(self._inner.cursor(), self._files)


class _Cursor:
    def __init__(self, inner: Any, files: Callable[[str, str], dict[str, bytes]]) -> None:
        self._inner, self._files = inner, files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, sql: str, parameters: Any = None) -> Any:
        if sql.startswith("COPY"):
            return self._copy(sql)
        if not _GRAMMAR.fullmatch(sql.strip()) or _UNKNOWN.search(sql):
            raise AssertionError(f"Redshift knows no such statement: {sql}")
        # A primary key is noted there and not enforced: here it is noted as a check that lets all pass.
        sql = re.sub(r"PRIMARY KEY \([^)]*\)", "CONSTRAINT noted_key CHECK (true)", sql)
        sql = sql.replace("k.contype = 'p'", "k.conname LIKE 'noted_key%%'")
        sql = sql.replace("getdate()", "CAST(clock_timestamp() AS timestamp)")
        return self._inner.execute(sql, parameters)

    def _copy(self, sql: str) -> Any:
        import pyarrow as pa
        from pyarrow import parquet

        stated = _COPY.fullmatch(sql)
        assert stated, f"Redshift takes no such COPY: {sql}"
        files = self._files(stated["bucket"], stated["prefix"])
        assert files, "Redshift fails where there is no file"
        for content in files.values():
            table = parquet.read_table(io.BytesIO(content))
            plain = [
                column.cast(pa.string())
                if pa.types.is_temporal(column.type)
                else column  # as JSON takes them
                for column in table.columns
            ]
            rows = pa.Table.from_arrays(plain, names=table.column_names).to_pylist()
            made = f"json_populate_recordset(NULL::{stated['table']}, CAST(%s AS json))"
            self._inner.execute(
                f"INSERT INTO {stated['table']} SELECT * FROM {made}", [json.dumps(rows)]
            )
        return self


@contextmanager
def redshift_port(folder: str) -> Iterator[int]:
    """Port of a Redshift of this machine: PostgreSQL behind a door that takes the parameters off which it does not know."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(
                    target=_introduce, args=(client, f"{folder}/.s.PGSQL.5432"), daemon=True
                ).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.close()


def _introduce(client: socket.socket, server: str) -> None:
    with client, socket.socket(socket.AF_UNIX) as inner, suppress(OSError):
        inner.connect(server)
        (length,) = struct.unpack("!i", _exactly(client, 4))
        packet = _exactly(client, length - 4)
        words = packet[4:].split(b"\0")
        known = [
            (key, value)
            for key, value in zip(words[::2], words[1::2], strict=False)
            if key in KNOWN
        ]
        packet = packet[:4] + b"".join(key + b"\0" + value + b"\0" for key, value in known) + b"\0"
        inner.sendall(struct.pack("!i", len(packet) + 4) + packet)
        back = threading.Thread(target=_pump, args=(inner, client), daemon=True)
        back.start()
        _pump(client, inner)
        back.join(timeout=5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def _exactly(source: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = source.recv(size - len(got))
        if not more:
            raise ConnectionResetError
        got += more
    return got
