"""Storage: a folder of named files, on this machine or in an object store. A file there is whole, or it is not there."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error, foreign_text

EXTRAS = {
    "s3": "amazon",
    "s3a": "amazon",
    "gs": "google",
    "gcs": "google",
    "abfs": "microsoft-azure",
    "abfss": "microsoft-azure",
    "adl": "microsoft-azure",
}
"""Which pip extra brings the file system of a URL's scheme."""


REQUESTS_AT_ONCE = 8
"""Files of an object store that are looked at, or written, at once: a day's file is small, and its time is the way there."""


class Storage(ABC):
    """The folder that ``path`` names. Names of files are relative to it, with ``/`` between folders.

    :param root: the folder as the user wrote it, for messages.
    """

    most_at_once = 1
    """How many files may be looked at, or written, at once."""

    def __init__(self, root: str) -> None:
        self.root = root

    @abstractmethod
    def require_folder(self) -> None:
        """Look at the folder before any row is pulled. It may be absent: it is made with the first file.

        :raises We360ConfigError: where it, or a folder above it, is a file, or where its bucket does not exist.
        :raises SinkError: where the storage does not let us look.
        """

    @abstractmethod
    def open(self, name: str) -> IO[bytes] | None:
        """The file, for reading from any place in it; None where it is absent."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Write the file, in place of the one of that name: at every moment there is the old one or the new one, whole."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Take the file away; one that is absent already is success."""

    @abstractmethod
    def folders(self) -> list[str]:
        """Names of the folders that lie directly in this one."""

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """An error of the storage in our words.

        :param doing: what failed, after "cannot".
        """
        try:
            yield
        except We360Error:
            raise
        except OSError as error:
            told = foreign_text(error.strerror or error)
            raise SinkError(
                f"path: cannot {doing} in {self.root} ({type(error).__name__}: {told}). Check that the place exists, that its "
                "Connection may write there and that it has room, then run the task again: each file is whole, old or new"
            ) from None
        except Exception as error:  # noqa: BLE001 - each store has errors of its own, whose text may hold a signed URL
            raise SinkError(
                f"path: cannot {doing} in {self.root} ({_kind(error)}). Check the Connection and its rights there, "
                "then run the task again: each file is whole, old or new"
            ) from None


class LocalStorage(Storage):
    """A folder on this machine, or mounted on it."""

    def __init__(self, root: str, folder: Path) -> None:
        super().__init__(root)
        self._folder = folder

    def require_folder(self) -> None:
        for place in (self._folder, *self._folder.parents):
            with self.explained("look"), suppress(FileNotFoundError, NotADirectoryError):
                # One look: between two, a sibling may make the folder.
                if stat.S_ISDIR(place.stat().st_mode):
                    return
                raise We360ConfigError(
                    f"path: {self.root} cannot be a folder, as {place} is a file; name a folder, which may be absent"
                )

    def open(self, name: str) -> IO[bytes] | None:
        with self.explained(f"read {name}"):
            try:
                return (self._folder / name).open("rb")
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """Written beside its place under a hidden name, then renamed."""
        place = self._folder / name
        with self.explained(f"write {name}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            self._sweep(place)
            part, file = self._part(place)
            try:
                with file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    part.replace(place)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise

    def remove(self, name: str) -> None:
        with self.explained(f"remove {name}"):
            (self._folder / name).unlink(missing_ok=True)

    def folders(self) -> list[str]:
        with self.explained("look"):
            return (
                [place.name for place in self._folder.iterdir() if place.is_dir()]
                if self._folder.exists()
                else []
            )

    def _part(self, place: Path) -> tuple[Path, IO[bytes]]:
        """A new file of this try alone, held by a lock that ends with the process."""
        while True:
            part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
            file = part.open("xb")
            # Some mounts have no locks: there a killed task's part stays, and nothing else is amiss.
            with suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_EX)
            # A sweep may have come between the two.
            if os.fstat(file.fileno()).st_nlink:
                return part, file
            file.close()

    def _sweep(self, place: Path) -> None:
        """Take away what killed tasks have left of this very file: nobody holds it any more."""
        for part in place.parent.glob(f".{place.name}.????????.part"):
            with suppress(OSError), part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


class RemoteStorage(Storage):
    """A folder in an object store, reached through fsspec.

    :param fs: the file system that Airflow has made of scheme and Connection.
    :param folder: the folder, as the file system names it.
    """

    def __init__(self, root: str, fs: Any, folder: str) -> None:
        super().__init__(root)
        self._fs = fs
        self._folder = folder.rstrip("/")
        # Those of S3, GCS and Azure are; of others it is not known whether threads may share them.
        self.most_at_once = REQUESTS_AT_ONCE if getattr(fs, "async_impl", False) else 1

    def require_folder(self) -> None:
        with self.explained("look"):
            # What the file system remembers from an earlier task of this process may be gone.
            self._fs.invalidate_cache()
            try:
                found = self._fs.info(self._folder)
            except FileNotFoundError:
                self._require_bucket()
                return
        if found["type"] == "file":
            raise We360ConfigError(
                f"path: {self.root} is a file; name a folder, which may be absent"
            )

    def _require_bucket(self) -> None:
        """A store tells a missing bucket from a missing folder only when it is asked for the bucket itself."""
        bucket = self._folder.partition("/")[0]
        try:
            self._fs.info(bucket)
        except FileNotFoundError:
            raise We360ConfigError(
                f"path: there is no bucket or container {bucket!r} for this Connection, and none is made up; create it, or "
                "name another"
            ) from None
        except Exception:  # noqa: BLE001 - who may write objects need not be allowed to look at their bucket
            return

    def open(self, name: str) -> IO[bytes] | None:
        with self.explained(f"read {name}"):
            try:
                return cast("IO[bytes]", self._fs.open(self._at(name), "rb"))
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """In one request, or in parts that count only when all are there. Not through an open file, which is closed, and so
        committed, when writing to it fails.
        """
        with self.explained(f"write {name}"):
            self._fs.pipe_file(self._at(name), content)

    def remove(self, name: str) -> None:
        with self.explained(f"remove {name}"), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def folders(self) -> list[str]:
        with self.explained("look"):
            try:
                found = self._fs.ls(self._folder, detail=True)
            except FileNotFoundError:
                return []
        return [
            str(one["name"]).rstrip("/").rpartition("/")[2]
            for one in found
            if one["type"] == "directory"
        ]

    def _at(self, name: str) -> str:
        return f"{self._folder}/{name}"


def storage_for(path: str, conn_id: str | None) -> Storage:
    """The folder that this URL, or absolute path, names.

    :param conn_id: Connection of the store; None where the URL names it, or none is needed.
    :raises We360ConfigError: where it cannot be reached as asked; names the argument, or the pip extra that is missing.
    """
    scheme = path.partition("://")[0] if "://" in path else "file"
    if ":" in urlsplit(path).netloc.rpartition("@")[0]:
        raise We360ConfigError(
            "path: holds a password before its @; put it into a Connection and name that one there"
        )
    place, fs = _reached(path, scheme, conn_id)
    if scheme not in ("file", "local"):
        return RemoteStorage(path, fs, place.path)
    if not path.removeprefix(f"{scheme}://").startswith("/"):
        raise We360ConfigError(
            f"path: {path!r} begins in whatever folder the worker runs in; write an absolute path (/data/we360) or a URL "
            "(file:///data/we360, s3://bucket/we360)"
        )
    return LocalStorage(path, Path(place.path))


def _reached(path: str, scheme: str, conn_id: str | None) -> tuple[Any, Any]:
    """The place, and the file system that it lies in."""
    from airflow.providers.common.compat.sdk import AirflowException, ObjectStoragePath

    from airflow_provider_we360._compat import connection_of, has_file_system, paths_cannot_open

    argument = (
        "path" if conn_id is None and "@" in urlsplit(path).netloc else "object_storage_conn_id"
    )
    try:
        # Up to Airflow 3.0 a conn_id of None hides the one in the URL.
        place = ObjectStoragePath(path, **({"conn_id": conn_id} if conn_id else {}))
        _require_connection(connection_of(place), connection_of(ObjectStoragePath(path)), conn_id)
        return place, place.fs
    except We360Error:
        raise
    except (AirflowException, ImportError, LookupError, TypeError, ValueError) as error:
        if reason := paths_cannot_open(error):
            raise We360ConfigError(f"path: {reason}") from None
        if isinstance(error, ImportError) or not has_file_system(scheme):
            raise _not_installed(path, scheme, error) from None
        raise We360ConfigError(
            f"{argument}: what it gives does not open {scheme}:// ({_kind(error)}); name a Connection of that store, and look "
            "at its fields"
        ) from None
    except Exception as error:  # noqa: BLE001 - a login may go over the wire, and the error's text may hold a secret
        raise SinkError(
            f"{argument}: no login to {scheme}:// ({_kind(error)}); nothing was changed. Look at the Connection's fields and "
            "rights, then run the task again"
        ) from None


def _require_connection(effective: str | None, in_url: str | None, argument: str | None) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    if in_url and argument and in_url != argument:
        raise We360ConfigError(
            f"object_storage_conn_id: is {argument!r}, but path names another Connection before its @; give it once"
        )
    if effective:
        try:
            BaseHook.get_connection(effective)
        except AirflowNotFoundException:
            raise We360ConfigError(
                f"{'object_storage_conn_id' if argument else 'path'}: there is no Connection {effective!r}; create it, or name "
                "another"
            ) from None


def _not_installed(path: str, scheme: str, error: Exception) -> We360ConfigError:
    reason = f"path: {path} cannot be reached ({type(error).__name__})"
    if extra := EXTRAS.get(scheme):
        return We360ConfigError(
            f'{reason}: install what {scheme}:// needs: pip install "airflow-provider-we360[{extra}]"'
        )
    return We360ConfigError(
        f"{reason}: no installed Airflow provider knows {scheme}://; install the one that does, or use one of "
        f"file, {', '.join(EXTRAS)}"
    )


def _kind(error: Exception) -> str:
    """The error's name, with the HTTP status where it has one: never its text."""
    status = next(
        (
            value
            for name in ("status_code", "code")
            if isinstance(value := getattr(error, name, None), int)
        ),
        "",
    )
    return f"{type(error).__name__} {status}".rstrip()
