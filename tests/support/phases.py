"""Which part of its load a task is in, told from outside: by what any other user of the target can see of it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from support.engines import DuckDB, Engine, SQLite
from support.lakes import Lake

COMMITS, WRITES = "COMMIT under way", "statements before COMMIT"
LOGGED, OPEN = "log being written", "file open"
PART, BETWEEN = "part being written", "between two files"


class Watch(ABC):
    """Looks at one target while a task loads into it.

    :cvar commit: those of the phases told by ``inside`` in which the exchange of rows is under way for certain.
    """

    commit: ClassVar[frozenset[str]] = frozenset({COMMITS, WRITES})

    def begin(self) -> None:
        """A load is about to begin: remember what is there."""
        return

    @abstractmethod
    def inside(self, pid: int) -> str:
        """What of the exchange of rows the process is in; empty where it is before it or past it."""

    def close(self) -> None:
        """Nobody looks any more."""
        return


class PostgresWatch(Watch):
    """By ``pg_stat_activity``, of the session that holds the load's own lock on the table: from LOCK until COMMIT is done."""

    SQL = (
        "SELECT query, state FROM pg_stat_activity JOIN pg_locks USING (pid) "
        "WHERE mode = 'ShareRowExclusiveLock' AND granted AND relation = to_regclass('days')"
    )

    def __init__(self, engine: Engine) -> None:
        self._connection: Any = engine.hook().get_conn()
        self._connection.autocommit = True
        self._cursor = self._connection.cursor()

    def inside(self, pid: int) -> str:
        self._cursor.execute(self.SQL)
        found = self._cursor.fetchone()
        if found is None:
            return ""
        return COMMITS if found == ("COMMIT", "active") else WRITES

    def close(self) -> None:
        self._connection.close()


class SQLiteWatch(Watch):
    """By the rollback journal: it lies there from the transaction's first change until COMMIT takes it away."""

    def __init__(self, path: Path) -> None:
        self._file, self._journal = path, path.with_name(f"{path.name}-journal")
        self._before = 0

    def begin(self) -> None:
        self._before = self._file.stat().st_mtime_ns

    def inside(self, pid: int) -> str:
        if not self._journal.exists():
            return ""
        return WRITES if self._file.stat().st_mtime_ns == self._before else COMMITS


class DuckDBWatch(Watch):
    """By the open file, which is open for the exchange of rows alone, and by the write-ahead log, which COMMIT writes and
    the end of the connection takes away.
    """

    commit = frozenset({LOGGED})

    def __init__(self, path: Path) -> None:
        self._file, self._wal = path, path.with_name(f"{path.name}.wal")

    def inside(self, pid: int) -> str:
        with suppress(OSError):
            if self._wal.stat().st_size:
                return LOGGED
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if descriptor.readlink() == self._file:
                        return OPEN
        return ""


class FilesWatch(Watch):
    """By the files themselves: a part is being written, or some days have their new file and some have not."""

    commit = frozenset({PART, BETWEEN})

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before: dict[str, int] = {}

    def begin(self) -> None:
        self._before = self._files()

    def inside(self, pid: int) -> str:
        now = self._files()
        if any(name.endswith(".part") for name in now):
            return PART
        renewed = sum(now.get(name) != number for name, number in self._before.items())
        return BETWEEN if 0 < renewed < len(self._before) else ""

    def _files(self) -> dict[str, int]:
        found = {}
        for day in os.scandir(self._folder):
            for one in os.scandir(day.path):
                found[f"{day.name}/{one.name}"] = one.inode()
        return found


class LakeWatch(Watch):
    """By the data files: new ones are there before the version that refers to them."""

    commit = frozenset({WRITES})

    def __init__(self, lake: Lake) -> None:
        self._folder = lake.folder
        self._before = self._version = 0

    def begin(self) -> None:
        self._before, self._version = self._count_files(), self._find_version()

    def inside(self, pid: int) -> str:
        if self._find_version() != self._version:
            return ""
        return WRITES if self._count_files() > self._before else ""

    def _count_files(self) -> int:
        return sum(1 for _ in self._folder.rglob("*.parquet"))

    def _find_version(self) -> int:
        catalog = self._folder / "catalog.sqlite"
        if catalog.exists():
            return catalog.stat().st_mtime_ns
        return sum(1 for _ in self._folder.rglob("_delta_log/*.json"))


def watch(engine: Engine | None, files: Path) -> Watch:
    """The watch for a target; without engine the folder of files."""
    if engine is None:
        return FilesWatch(files)
    if isinstance(engine, Lake):
        return LakeWatch(engine)
    if isinstance(engine, SQLite):
        return SQLiteWatch(engine.path)
    return DuckDBWatch(engine.path) if isinstance(engine, DuckDB) else PostgresWatch(engine)
