"""A store belongs to one database: two services with different databases never delete each other's files."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from sqlalchemy.engine import make_url

from service.errors import ConfigurationError
from service.settings import Storage
from service.storage.database import Database
from service.storage.instance_store import InstanceStore, instance_store
from service.storage.instances import Instances
from service.storage.object_cache import ObjectCache
from service.storage.owner import OWNER, database_id
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.s3_instances import S3Instances
from tests.postgresql import PostgreSQL

Open = Callable[[], InstanceStore]
MINE, OTHER = "1" * 32, "2" * 32


@pytest.fixture(params=["folder", "bucket"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Return a function that opens the same store as another replica does."""
    in_bucket = request.getfixturevalue("in_bucket") if request.param == "bucket" else {}
    stores: list[InstanceStore] = []

    def open() -> InstanceStore:
        stores.append(instance_store(Storage(folder=tmp_path, **in_bucket)))
        stores[-1].open()
        return stores[-1]

    yield open
    for store in stores:
        store.close()


def sqlite(folder: Path) -> Records:
    records = Records(f"sqlite:///{folder / 'triage.sqlite'}")
    records.open()
    return records


def retention(records: Records, store: InstanceStore, folder: Path) -> Retention:
    return Retention(records, store, ObjectCache(folder / "objects", 0), None)


def read_mark(store: InstanceStore) -> str:
    if isinstance(store, S3Instances):
        return store._bucket.get(OWNER).decode()
    assert isinstance(store, Instances)
    return (store.folder / OWNER).read_text()


def test_the_first_database_owns_a_store_and_another_is_refused(open_store: Open) -> None:
    open_store().claim(MINE)
    open_store().claim(MINE)  # a replica, or a restart

    with pytest.raises(ConfigurationError) as caught:
        open_store().claim(OTHER)

    assert len(str(caught.value).splitlines()) == 1
    assert OWNER in str(caught.value)
    assert MINE not in str(caught.value)
    assert read_mark(open_store()) == f"{MINE}\n"


def test_of_two_databases_that_claim_a_store_at_once_one_has_it(open_store: Open) -> None:
    stores = [open_store() for _ in range(8)]
    ids = [str(number) * 32 for number in range(4)] * 2  # two replicas of each

    def claim(store: InstanceStore, id: str) -> str | None:
        try:
            store.claim(id)
        except ConfigurationError:
            return None
        return id

    with ThreadPoolExecutor(8) as pool:
        owners = [owner for owner in pool.map(claim, stores, ids) if owner is not None]

    assert owners == [read_mark(stores[0]).strip()] * 2


def test_a_store_whose_mark_was_deleted_belongs_to_the_next(open_store: Open) -> None:
    store = open_store()
    store.claim(MINE)
    if isinstance(store, Instances):
        (store.folder / OWNER).unlink()
    else:
        assert isinstance(store, S3Instances)
        store._bucket.delete(OWNER)
    store.claim(OTHER)
    assert read_mark(store) == f"{OTHER}\n"


def test_nothing_is_swept_from_the_store_of_another_database(open_store: Open, tmp_path: Path) -> None:
    """Both services had begun before either wrote its mark, or their server knows no conditional writes."""
    store = open_store()
    theirs = store.receive()
    theirs.write([b"x"])
    theirs.keep()
    theirs.close()
    if isinstance(store, Instances):
        os.utime(store.path(theirs.name), (0, 0))
    store.claim(OTHER)

    with closing(sqlite(tmp_path)) as records, pytest.raises(ConfigurationError):
        retention(records, store, tmp_path).sweep()

    assert store.get(theirs.name) == b"x"


def test_a_sweep_passes_over_the_mark(open_store: Open) -> None:
    store = open_store()
    store.claim(MINE)
    if isinstance(store, Instances):
        os.utime(store.folder / OWNER, (0, 0))
    assert store.sweep(lambda _: (), -3600) == 0
    store.claim(MINE)


def test_a_folder_without_hard_links_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    store = Instances(tmp_path)
    store.claim(MINE)
    store.claim(MINE)
    assert [path.name for path in tmp_path.iterdir()] == [OWNER]
    with pytest.raises(ConfigurationError):
        store.claim(OTHER)


def test_a_server_without_conditional_writes_is_claimed(
    in_bucket: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(instance_store(Storage(folder=tmp_path, **in_bucket))) as store:
        assert isinstance(store, S3Instances)
        put = store._bucket._client.put_object

        def refuse(**arguments: object) -> object:
            if "IfNoneMatch" in arguments:
                raise ClientError({"Error": {"Code": "NotImplemented"}}, "PutObject")
            return put(**arguments)

        monkeypatch.setattr(store._bucket._client, "put_object", refuse)
        store.claim(MINE)
        store.claim(MINE)
        with pytest.raises(ConfigurationError):
            store.claim(OTHER)


def test_a_store_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / OWNER).mkdir()
    with pytest.raises(ConfigurationError, match=OWNER):
        Instances(tmp_path).claim(MINE)


def test_a_backup_of_the_database_has_its_id_and_a_new_database_another(tmp_path: Path) -> None:
    ids = []
    for name in ("a", "b"):
        with closing(sqlite(tmp_path / name)) as records:
            ids.append(database_id(records.database))
    (tmp_path / "c").mkdir()
    shutil.copy(tmp_path / "a" / "triage.sqlite", tmp_path / "c")
    with closing(sqlite(tmp_path / "c")) as records:
        ids.append(database_id(records.database))

    assert ids[0] == ids[2] != ids[1]
    assert {len(id) for id in ids} == {32}


@pytest.mark.postgresql
def test_a_dump_that_is_restored_has_its_id(postgresql: PostgreSQL, tmp_path: Path) -> None:
    programs = postgresql._programs
    with postgresql.database("template1") as before, postgresql.database("template1") as after:
        first = Database(before)
        first.open()
        names = [str(make_url(url).set(drivername="postgresql")) for url in (before, after)]
        dump = subprocess.run([programs / "pg_dump", names[0]], check=True, capture_output=True, timeout=60).stdout
        subprocess.run([programs / "psql", "-q", names[1]], input=dump, check=True, capture_output=True, timeout=60)
        second = Database(after)
        second.open()
        assert database_id(second) == database_id(first)
        first.close()
        second.close()
