"""What holds for the folder and for the bucket."""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.errors import NotFound, StorageFull
from service.settings import Storage
from service.storage import bucket
from service.storage.instance_store import InstanceStore, instance_store
from service.storage.instances import Instances
from tests.service.s3_server import BUCKET, S3Server


class Place:
    """A store, and what is in it as another program sees it."""

    def __init__(self, settings: Storage, server: S3Server | None, prefix: str) -> None:
        self.settings, self._server, self._prefix = settings, server, prefix
        self.store = instance_store(settings)
        self._folder = settings.folder / ("spool" if server else "instances")

    @property
    def content(self) -> dict[str, bytes]:
        """Every file or object, whatever its name."""
        if self._server is None:
            return {path.name: path.read_bytes() for path in self._folder.rglob("*") if path.is_file()}
        keys = self._server.keys(f"{self._prefix}/")
        return {key.rpartition("/")[2]: self._server.read(key) for key in keys}

    @property
    def spool(self) -> list[Path]:
        """The files that are arriving."""
        return list(self._folder.rglob("*.partial"))

    def add(self, name: str) -> None:
        """Let another program put a file beside the others."""
        if self._server is None:
            (self._folder / name).write_bytes(b"x")
        else:
            self._server.client.put_object(Bucket=BUCKET, Key=f"{self._prefix}/{name}", Body=b"x")

    def pass_hours(self, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
        """Make what is stored older."""
        for path in self._folder.rglob("*"):
            if path.is_file():
                os.utime(path, (time.time() - 3600 * hours,) * 2)
        monkeypatch.setattr(bucket, "_clock", lambda _: datetime.now(UTC) + timedelta(hours=hours))

    def read(self, name: str) -> bytes:
        """Read a file as a decoder process is handed it."""
        path = self.store.path(name)
        return self.store.get(name) if path is None else path.read_bytes()


def put(store: InstanceStore, data: bytes) -> str:
    with closing(store.receive()) as file:
        file.write([data[:7], data[7:]])
        file.sync()
        file.keep()
    return file.name


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path, prefix: str) -> Iterator[Place]:
    if request.param == "folder":
        made = Place(Storage(folder=tmp_path), None, "")
    else:
        in_bucket, server = request.getfixturevalue("in_bucket"), request.getfixturevalue("s3")
        made = Place(Storage(folder=tmp_path, **in_bucket), server, prefix)
    with closing(made.store):
        made.store.open()
        yield made


def test_opening_leaves_nothing(place: Place) -> None:
    assert place.content == {}


def test_without_a_url_it_is_the_folder(tmp_path: Path) -> None:
    assert isinstance(instance_store(Storage(folder=tmp_path)), Instances)


@pytest.mark.parametrize("size", [0, 1, 300_000, 2**24 + 2**20])  # the last is sent to a bucket in two parts
def test_a_file_that_is_kept_comes_back(place: Place, size: int) -> None:
    data = os.urandom(size)
    name = put(place.store, data)

    assert place.content == {name: data}
    assert place.store.get(name) == place.read(name) == data
    assert place.spool == []


def test_a_file_that_is_not_kept_leaves_nothing(place: Place) -> None:
    with closing(place.store.receive()) as file:
        file.write([b"refused"])
        assert file.partial.read_bytes() == b"refused"
        assert place.spool == [file.partial]
        file.sync()
    assert place.spool == []
    assert place.content == {}


def test_a_file_whose_request_was_cancelled_is_not_kept(place: Place) -> None:
    file = place.store.receive()
    file.write([b"x"])
    file.close()
    with pytest.raises(StorageFull):
        file.keep()
    assert place.content == {}


def test_each_file_has_its_own_name(place: Place) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: put(place.store, b"same"), range(32)))
    assert place.content == dict.fromkeys(names, b"same")
    assert len(place.content) == 32


@pytest.mark.parametrize("name", ["", "../keep", "0" * 32, "A" * 32 + ".dcm", "0" * 32 + ".dcm\n", "/etc/passwd"])
def test_no_malformed_name_reaches_anything(place: Place, name: str) -> None:
    for call in (place.store.get, place.store.path, place.store.delete):
        with pytest.raises(NotFound):
            call(name)


def test_an_unknown_name_is_not_found(place: Place) -> None:
    with pytest.raises(NotFound):
        place.store.get("0" * 32 + ".dcm")


def test_a_file_can_be_deleted_twice(place: Place) -> None:
    name, other = put(place.store, b"x"), put(place.store, b"y")
    place.store.delete(name)
    place.store.delete(name)
    with pytest.raises(NotFound):
        place.store.get(name)
    assert place.content == {other: b"y"}


def test_what_is_old_and_has_no_record_is_swept_and_nothing_else(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    known, orphan = put(place.store, b"known"), put(place.store, b"orphan")
    place.add("README")
    place.add(f"{'0' * 32}.dcm")  # not in the sub-folder of its name
    foreign = {"README", f"{'0' * 32}.dcm"}
    left = place.store.receive()  # as a process that was killed leaves it
    left.write([b"x"])

    assert place.store.sweep({known}.intersection, 3600) == 0
    assert {known, orphan} | foreign <= set(place.content)

    place.pass_hours(monkeypatch, 2)
    assert place.store.sweep({known}.intersection, 3600) + place.store.sweep_spool(3600) == 2
    assert set(place.content) == {known} | foreign
    assert place.spool == []
    left.close()


def test_too_little_room_where_files_arrive_is_refused(place: Place) -> None:
    place.store.check_room()
    full = instance_store(place.settings.model_copy(update={"min_free_bytes": 2**62}))
    with closing(full), pytest.raises(StorageFull) as caught:
        full.check_room()
    assert caught.value.code == "low_disk"


def test_a_check_says_that_it_is_sound_and_writes_nothing(place: Place, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    assert f"{tmp_path} is writable" in place.store.check()
    place.store.check_present()
    assert set(tmp_path.rglob("*")) == before
    assert place.content == {}
