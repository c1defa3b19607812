"""What only a store on the other side of a network can do to a load: refuse it, cut it off, keep it waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_we360.errors import SinkError, We360ConfigError, WindowOverlaps
from airflow_provider_we360.sinks.formats import FileFormat
from support.cloud_stores import Cloud, Fault, Proxy
from support.loads import batch, load, row, rows, summary
from support.stores import Store

pytestmark = pytest.mark.clouds
ONE_DAY = load(window=(row(1, "p")["attendance_date"], row(1, "p")["attendance_date"]))
OLD, NEW = rows(1, 3, note="old"), rows(1, 4, note="new")
SECRETS = ("not-for-the-log", "Eby8vdM02")


@pytest.fixture(params=["s3", "gcs", "azure"])
def cloud(request: pytest.FixtureRequest) -> Cloud:
    found: Cloud = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def proxy(cloud: Cloud) -> Iterator[Proxy]:
    made = Proxy(cloud)
    yield made
    made.close()


@pytest.fixture
def store(cloud: Cloud) -> Store:
    """The folder, reached directly, with one day in it."""
    made = cloud.store()
    made.load(ONE_DAY, OLD)
    return made


@pytest.fixture
def through(cloud: Cloud, proxy: Proxy, store: Store) -> Store:
    """The same folder, reached through the proxy."""
    return Store(store.path, conn_id=cloud.connection(proxy.endpoint))


def expected(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(batch(content).rows, key=repr)


def require_no_secret(error: BaseException) -> None:
    assert not [one for one in SECRETS if one in str(error)]
    assert (error.__cause__, error.__suppress_context__) == (None, True)


# Connections and places


def test_the_connection_may_stand_in_the_url(cloud: Cloud) -> None:
    conn_id = cloud.connection()
    plain = cloud.store("in-the-url/days", conn_id)
    named = Store(f"{cloud.scheme}://{conn_id}@{cloud.bucket}/in-the-url/days")
    for store in (named, plain):
        store.load(ONE_DAY, NEW)
        assert plain.rows() == named.rows() == expected(NEW)
    assert named.load(ONE_DAY, NEW).rows_removed == 4


def test_a_missing_bucket_is_named_before_the_first_request(
    cloud: Cloud,
) -> None:
    nowhere = Store(f"{cloud.scheme}://nowhere/days", conn_id=cloud.connection())
    with pytest.raises(
        We360ConfigError, match=r"path: bucket or container 'nowhere' does not exist .* create it"
    ) as caught:
        nowhere.sink()
    require_no_secret(caught.value)
    assert "nowhere" not in [name.strip("/") for name in nowhere.place.fs.ls("")]


def test_an_object_in_the_folders_place_is_named(cloud: Cloud) -> None:
    store = cloud.store("place/object")
    Store(f"{cloud.scheme}://{cloud.bucket}/place", conn_id=store.conn_id).write("object", b"mine")
    with pytest.raises(We360ConfigError, match=r"path: .* is a file"):
        store.sink()


@pytest.mark.parametrize(
    "odd",
    [
        "a b",
        "50%",
        "50%25",
        "year=2026",
        "a+b",
        "a&b",
        "naïve ß",
        "दिन",
        "(x)[y]{z}",
        "it's",
        "a,b",
        "*",
        "~x!$@",
    ],
)
def test_a_folder_of_any_name_holds_only_what_was_loaded(cloud: Cloud, odd: str) -> None:
    store = cloud.store(f"odd/{odd}/days")
    for _ in range(2):
        result = store.load(ONE_DAY, NEW)
    assert result.rows_removed == 4
    assert store.rows() == expected(NEW)
    folder = f"{cloud.bucket}/odd/{odd}/days/"
    assert [name[: len(folder)] for name in store.place.fs.find(f"{cloud.bucket}/odd/{odd}")] == [
        folder
    ]


@pytest.mark.parametrize(
    "cloud", ["s3", "azure"], indirect=True
)  # the emulator of GCS knows no pages
def test_all_folders_of_a_paged_listing_are_seen(cloud: Cloud) -> None:
    store = cloud.store()
    store.load(summary(11, 20), [row(1, "p0")])
    fs, root = store.place.fs, store.place.path
    fs.pipe(
        {
            f"{root}/_we360_window_start={number:04}-12-31/other.parquet": b"x"
            for number in range(1, 1202)
        }
    )
    fs.invalidate_cache()
    assert len(store.storage.list_folders()) == 1202
    with pytest.raises(WindowOverlaps, match="2026-04-11 to 2026-04-20"):
        store.load(summary(15, 25), [row(1, "p0")])


def test_the_connections_region_signs_the_requests(s3: Cloud) -> None:
    proxy = Proxy(s3)
    conn_id = s3.connection(proxy.endpoint, region_name="ap-south-1")
    s3.store(conn_id=conn_id).load(ONE_DAY, NEW)
    proxy.close()
    scopes = {
        headers["Authorization"].split("/", 2)[2].partition(",")[0] for _, _, headers in proxy.seen
    }
    assert scopes == {"ap-south-1/s3/aws4_request"}


# Rights


def test_who_may_not_look_is_told_before_a_row_is_pulled(
    through: Store, store: Store, proxy: Proxy
) -> None:
    proxy.play("denied", uploads_only=False)
    with pytest.raises(
        SinkError,
        match=rf"path: cannot list files in {through.path} .*its Connection|the Connection",
    ) as caught:
        through.sink()
    require_no_secret(caught.value)
    proxy.heal()
    assert through.load(ONE_DAY, NEW).rows_removed == 3
    assert store.rows() == expected(NEW)


def test_a_denied_write_leaves_the_old_file(through: Store, store: Store, proxy: Proxy) -> None:
    proxy.play("denied")
    with pytest.raises(
        SinkError,
        match=r"path: cannot write attendance_date=2026-04-01/we360-\w+\.parquet in .*run the",
    ) as caught:
        through.load(ONE_DAY, NEW)
    require_no_secret(caught.value)
    assert store.rows() == expected(OLD)
    proxy.heal()
    through.load(ONE_DAY, NEW)
    assert store.rows() == expected(NEW)


# The line


@pytest.mark.parametrize("fault", ["cut", "unavailable"])
def test_a_store_that_fails_for_a_while_is_asked_again(
    cloud: Cloud, through: Store, store: Store, proxy: Proxy, fault: Fault
) -> None:
    proxy.play(
        fault, times=1 if cloud.scheme == "abfs" else 2
    )  # Azure's client waits 15 s before it asks again
    assert through.load(ONE_DAY, NEW).rows == 4
    assert store.rows() == expected(NEW)


def test_a_connection_that_always_breaks_leaves_the_old_file(s3: Cloud) -> None:
    """The other clients ask again for a minute."""
    proxy = Proxy(s3)
    store = s3.store()
    store.load(ONE_DAY, OLD)
    proxy.play("cut")
    through = Store(
        store.path,
        conn_id=s3.connection(proxy.endpoint, config_kwargs={"retries": {"max_attempts": 0}}),
    )
    with pytest.raises(SinkError, match="path: cannot write attendance_date=2026-04-01") as caught:
        through.load(ONE_DAY, NEW)
    require_no_secret(caught.value)
    assert store.rows() == expected(OLD)
    proxy.heal()
    assert through.load(ONE_DAY, NEW).rows_removed == 3
    assert store.rows() == expected(NEW)
    proxy.close()


LOAD = """
import sys
sys.path.insert(0, "tests")
from support.loads import load, rows, row
from support.stores import Store
from airflow_provider_we360.sinks.formats import FileFormat
day = row(1, "p")["attendance_date"]
Store(sys.argv[1], FileFormat.JSONL, sys.argv[2]).load(load(window=(day, day)), rows(1, 4, note="new"))
"""


def test_a_task_killed_during_an_upload_leaves_the_old_file(cloud: Cloud, proxy: Proxy) -> None:
    store = cloud.store()
    store.file_format = FileFormat.JSONL
    store.load(ONE_DAY, OLD)
    before = store.files()
    conn_id = cloud.connection(proxy.endpoint)
    proxy.play("stalled")
    with subprocess.Popen(
        [sys.executable, "-c", LOAD, store.path, conn_id], stderr=subprocess.PIPE
    ) as task:
        assert proxy.stalled.wait(60), task.stderr.read()[-2000:] if task.stderr else ""
        assert store.files() == before
        task.kill()
    assert task.returncode == -9
    time.sleep(0.2)  # what the store makes of half an upload
    assert store.files() == before
    proxy.heal()
    assert store.load(ONE_DAY, NEW).rows_removed == 3
    assert store.rows() == expected(NEW)


def test_a_file_of_many_parts_counts_only_when_all_are_there(
    cloud: Cloud, proxy: Proxy, through: Store, store: Store
) -> None:
    part = 2**20
    content = b"".join(bytes([number]) * part for number in range(101))
    through.storage.put("big/day.parquet", content)
    uploads = [
        path
        for method, path, _ in proxy.seen
        if (method in ("PUT", "POST") and "big" in path) or "upload_id" in path
    ]
    assert len(uploads) > 2 or cloud.scheme == "gs", uploads
    assert store.files()["big/day.parquet"] == content
    if cloud.scheme != "s3":
        return
    proxy.play("denied", times=10**9)
    with pytest.raises(SinkError, match="cannot write big"):
        through.storage.put("big/day.parquet", content[::-1])
    proxy.heal()
    assert store.files()["big/day.parquet"] == content


# What is not installed, or not set up


@pytest.mark.parametrize(
    ("name", "client", "extra"),
    [("s3", "s3fs", "amazon"), ("gcs", "gcsfs", "google"), ("azure", "adlfs", "microsoft-azure")],
)
def test_a_missing_client_is_named_with_its_extra(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    client: str,
    extra: str,
) -> None:
    cloud: Cloud = request.getfixturevalue(name)
    monkeypatch.setitem(sys.modules, client, None)
    with pytest.raises(
        We360ConfigError, match=rf'path: .*pip install "airflow-provider-we360\[{extra}\]"'
    ):
        cloud.store().sink()


@pytest.mark.parametrize(
    ("scheme", "connection"),
    [
        (
            "abfs",
            '{"conn_type": "wasb", "extra": {"connection_string": "nonsense not-for-the-log"}}',
        ),
        (
            "gs",
            '{"conn_type": "google_cloud_platform", "extra": {"keyfile_dict": "{not-for-the-log"}}',
        ),
        (
            "gs",
            '{"conn_type": "google_cloud_platform", "extra": {"key_path": "/absent/not-for-the-log.json"}}',
        ),
        ("s3", '{"conn_type": "aws", "extra": {"profile_name": "absent"}}'),
        (
            "s3",
            '{"conn_type": "aws", "extra": {"endpoint_url": "no url", "aws_access_key_id": "k", "aws_secret_access_key": "s"}}',
        ),
    ],
)
@pytest.mark.parametrize("in_url", [False, True])
def test_a_useless_connection_is_named_without_its_secrets(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    scheme: str,
    connection: str,
    in_url: bool,
) -> None:
    request.getfixturevalue({"gs": "gcs", "abfs": "azure"}.get(scheme, scheme))
    conn_id = f"wrong_{os.urandom(4).hex()}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection)
    path = f"{scheme}://{conn_id}@bucket/days" if in_url else f"{scheme}://bucket/days"
    with pytest.raises(
        (We360ConfigError, SinkError), match=r"^(object_storage_conn_id|path): .*Connection"
    ) as caught:
        Store(path, conn_id=None if in_url else conn_id).sink()
    require_no_secret(caught.value)
    assert "pip install" not in str(caught.value)
