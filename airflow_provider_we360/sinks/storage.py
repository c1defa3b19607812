"""Storage: a folder of files on this machine or in an object store, each whole or not there."""

from __future__ import annotations

import os
import secrets
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import urlsplit

from airflow_provider_we360.errors import SinkError, We360ConfigError, We360Error
from airflow_provider_we360.redaction import foreign_text

EXTRAS = {
    "s3": "amazon",
    "s3a": "amazon",
    "gs": "google",
    "gcs": "google",
    "abfs": "microsoft-azure",
    "abfss": "microsoft-azure",
    "adl": "microsoft-azure",
}
"""The pip extra that installs the file system of a URL's scheme."""


REQUESTS_AT_ONCE = 8
"""Files of an object store that are inspected, or written, at once: most time is latency."""


class Storage(ABC):
    """The folder that ``path`` names. File names are relative to it, with ``/`` between folders.

    :param root: the folder as the user wrote it, for messages.
    """

    max_parallel = 1
    """How many files may be inspected, or written, at once."""

    def __init__(self, root: str) -> None:
        self.root = root

    @abstractmethod
    def require_folder(self) -> None:
        """Check the folder before any row is requested. The first file creates it.

        :raises We360ConfigError: if it, or a folder above it, is a file, or if its bucket does not
            exist.
        :raises SinkError: if the storage denies access.
        """

    @abstractmethod
    def open(self, name: str) -> IO[bytes] | None:
        """Open a file for reading; None if it does not exist."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Write a file, replacing an older one; readers see the old file or the new one, whole."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file, if it exists."""

    @abstractmethod
    def list_folders(self) -> list[str]:
        """Return the names of the folders directly in this one."""

    @contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Turn an error of the storage into one of this provider.

        The cause is left out: a store's text may hold a signed URL.

        :param action: what failed, after "cannot".
        """
        try:
            yield
        except We360Error:
            raise
        except OSError as error:
            reason = foreign_text(error.strerror or error)
            raise SinkError(
                f"path: cannot {action} in {self.root} ({type(error).__name__}: {reason}); each "
                "file is whole, old or new. Check that the folder exists, that its Connection may "
                "write there and that it has room, then run the task again"
            ) from None
        # Only the class of the error is shown: its text may quote a signed URL or a header.
        except Exception as error:  # noqa: BLE001 - each store has errors of its own
            raise SinkError(
                f"path: cannot {action} in {self.root} ({_kind(error)}); each file is whole, old "
                "or new. Check the Connection and its permissions there, then run the task again"
            ) from None


class LocalStorage(Storage):
    """A folder on this machine, or mounted on it."""

    def __init__(self, root: str, folder: Path) -> None:
        super().__init__(root)
        self._folder = folder

    def require_folder(self) -> None:
        for place in (self._folder, *self._folder.parents):
            with self.explained("list files"), suppress(FileNotFoundError, NotADirectoryError):
                # A single look, because another load may create the folder between two.
                if stat.S_ISDIR(place.stat().st_mode):
                    return
                raise We360ConfigError(
                    f"path: {self.root} cannot be a folder, because {place} is a file; name "
                    "another folder"
                )

    def open(self, name: str) -> IO[bytes] | None:
        with self.explained(f"read {name}"):
            try:
                return (self._folder / name).open("rb")
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """Write the file next to its place under a hidden name, then rename it."""
        place = self._folder / name
        with self.explained(f"write {name}"):
            place.parent.mkdir(parents=True, exist_ok=True)
            # Hidden, in the same folder: readers skip such names, and rename is atomic within one
            # file system only.
            part = place.with_name(f".{place.name}.{secrets.token_hex(4)}.part")
            try:
                with part.open("xb") as file:
                    file.write(content)
                    file.flush()
                    # Without it, a power failure may leave the new name with no content.
                    os.fsync(file.fileno())
                part.replace(place)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise

    def remove(self, name: str) -> None:
        with self.explained(f"remove {name}"):
            (self._folder / name).unlink(missing_ok=True)

    def list_folders(self) -> list[str]:
        with self.explained("list files"):
            return (
                [place.name for place in self._folder.iterdir() if place.is_dir()]
                if self._folder.exists()
                else []
            )


class RemoteStorage(Storage):
    """A folder in an object store, through fsspec.

    :param fs: the file system that Airflow built from scheme and Connection.
    :param folder: the folder, as the file system names it.
    """

    def __init__(self, root: str, fs: Any, folder: str) -> None:
        super().__init__(root)
        self._fs = fs
        self._folder = folder.rstrip("/")
        # Threads may share the file systems of S3, GCS and Azure; of others that is not known.
        self.max_parallel = REQUESTS_AT_ONCE if getattr(fs, "async_impl", False) else 1

    def require_folder(self) -> None:
        with self.explained("list files"):
            # The file system caches listings of earlier tasks of this process.
            self._fs.invalidate_cache()
            try:
                found = self._fs.info(self._folder)
            except FileNotFoundError:
                self._require_bucket()
                return
        if found["type"] == "file":
            raise We360ConfigError(f"path: {self.root} is a file; name a folder")

    def _require_bucket(self) -> None:
        """Check the bucket itself: stores report a missing bucket like a missing folder."""
        bucket = self._folder.partition("/")[0]
        try:
            self._fs.info(bucket)
        except FileNotFoundError:
            raise We360ConfigError(
                f"path: bucket or container {bucket!r} does not exist for this Connection; create "
                "it, or name another one"
            ) from None
        except Exception:  # noqa: BLE001 - an account that may write objects may lack access to the bucket itself
            return

    def open(self, name: str) -> IO[bytes] | None:
        with self.explained(f"read {name}"):
            try:
                return cast("IO[bytes]", self._fs.open(self._at(name), "rb"))
            except FileNotFoundError:
                return None

    def put(self, name: str, content: bytes) -> None:
        """Write the file in one request, or in parts that count only when all have arrived.

        An open file would be closed, and so committed, when writing to it fails.
        """
        with self.explained(f"write {name}"):
            self._fs.pipe_file(self._at(name), content)

    def remove(self, name: str) -> None:
        with self.explained(f"remove {name}"), suppress(FileNotFoundError):
            self._fs.rm_file(self._at(name))

    def list_folders(self) -> list[str]:
        with self.explained("list files"):
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
    """Return the folder of a URL or absolute path.

    :param conn_id: Connection of the store; None if the URL names it, or if none is needed.
    :raises We360ConfigError: if it cannot be opened; names the argument, or the missing pip extra.
    """
    scheme = path.partition("://")[0] if "://" in path else "file"
    # Airflow would log and show the path, with the password in it.
    if ":" in urlsplit(path).netloc.rpartition("@")[0]:
        raise We360ConfigError(
            "path: contains a password before its @; store it in a Connection and put its ID there"
        )
    place, fs = _open_path(path, scheme, conn_id)
    if scheme not in ("file", "local"):
        return RemoteStorage(path, fs, place.path)
    if not path.removeprefix(f"{scheme}://").startswith("/"):
        raise We360ConfigError(
            f"path: {path!r} is relative to the worker's folder; write an absolute path "
            "(/data/we360) or a URL (file:///data/we360, s3://bucket/we360)"
        )
    return LocalStorage(path, Path(place.path))


def _open_path(path: str, scheme: str, conn_id: str | None) -> tuple[Any, Any]:
    """Return the path and its file system."""
    from airflow.providers.common.compat.sdk import AirflowException, ObjectStoragePath

    from airflow_provider_we360._compat import connection_of, has_file_system, paths_cannot_open

    argument = (
        "path" if conn_id is None and "@" in urlsplit(path).netloc else "object_storage_conn_id"
    )
    try:
        # Up to Airflow 3.0 a conn_id of None overrides the one in the URL.
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
            f"{argument}: does not open {scheme}:// ({_kind(error)}); name a Connection of that "
            "store, and check its fields"
        ) from None
    except Exception as error:  # noqa: BLE001 - a login may need the network, and its error may hold a secret
        raise SinkError(
            f"{argument}: no login to {scheme}:// ({_kind(error)}); nothing was changed. Check the "
            "Connection's fields and permissions, then run the task again"
        ) from None


def _require_connection(effective: str | None, in_url: str | None, argument: str | None) -> None:
    from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

    if in_url and argument and in_url != argument:
        raise We360ConfigError(
            f"object_storage_conn_id: is {argument!r}, but path names another Connection before "
            "its @; set it in one place"
        )
    if effective:
        try:
            BaseHook.get_connection(effective)
        except AirflowNotFoundException:
            raise We360ConfigError(
                f"{'object_storage_conn_id' if argument else 'path'}: Connection {effective!r} "
                "does not exist; create it, or name another one"
            ) from None


def _not_installed(path: str, scheme: str, error: Exception) -> We360ConfigError:
    reason = f"path: {path} cannot be opened ({type(error).__name__})"
    if extra := EXTRAS.get(scheme):
        return We360ConfigError(
            f"{reason}: install the support for {scheme}://: "
            f'pip install "airflow-provider-we360[{extra}]"'
        )
    return We360ConfigError(
        f"{reason}: no installed Airflow provider supports {scheme}://; install one that does, or "
        f"use one of file, {', '.join(EXTRAS)}"
    )


def _kind(error: Exception) -> str:
    """Return the error's class, with the HTTP status if it has one, never its text."""
    status = next(
        (
            value
            for name in ("status_code", "code")
            if isinstance(value := getattr(error, name, None), int)
        ),
        "",
    )
    return f"{type(error).__name__} {status}".rstrip()
