import os
from pathlib import Path

import pytest

from service.errors import NotFound
from service.storage.object_cache import ObjectCache

FIRST, SECOND, THIRD = "1" * 32, "2" * 32, "3" * 32


def exists(_: str) -> bool:
    return True


@pytest.fixture
def cache(tmp_path: Path) -> ObjectCache:
    return ObjectCache(tmp_path / "objects", 1000)


def test_an_object_is_kept_by_record_and_name(cache: ObjectCache, tmp_path: Path) -> None:
    cache.put(FIRST, "sr-1", b"one", exists)

    assert cache.get(FIRST, "sr-1") == b"one"
    assert cache.get(FIRST, "sr-2") is None
    assert cache.get(SECOND, "sr-1") is None
    folder = tmp_path / "objects"
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.rglob("*"))} == {0}


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:40] + b"x" + data[41:], lambda _: b""])
def test_a_damaged_file_counts_as_absent(cache: ObjectCache, tmp_path: Path, damage: object) -> None:
    cache.put(FIRST, "sr", bytes(100), exists)
    path = tmp_path / "objects" / FIRST / "sr"
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]

    assert cache.get(FIRST, "sr") is None
    cache.put(FIRST, "sr", b"again", exists)
    assert cache.get(FIRST, "sr") == b"again"


def test_nothing_is_kept_of_a_record_deleted_while_its_object_was_made(cache: ObjectCache, tmp_path: Path) -> None:
    cache.put(FIRST, "sr", b"one", lambda _: False)

    assert list((tmp_path / "objects").iterdir()) == []


def test_the_objects_that_were_not_read_for_the_longest_time_make_room(cache: ObjectCache, tmp_path: Path) -> None:
    for age, id in ((3, FIRST), (2, SECOND)):
        cache.put(id, "sr", bytes(340), exists)
        os.utime(tmp_path / "objects" / id / "sr", (1000 - age, 1000 - age))
    assert cache.get(FIRST, "sr") is not None

    cache.put(THIRD, "sr", bytes(340), exists)

    assert [cache.get(id, "sr") is not None for id in (FIRST, SECOND, THIRD)] == [True, False, True]


def test_files_of_an_earlier_process_count(tmp_path: Path) -> None:
    ObjectCache(tmp_path / "objects", 1000).put(FIRST, "sr", bytes(700), exists)
    os.utime(tmp_path / "objects" / FIRST / "sr", (0, 0))
    later = ObjectCache(tmp_path / "objects", 1000)

    later.put(SECOND, "sr", bytes(340), exists)

    assert (later.get(FIRST, "sr"), later.get(SECOND, "sr")) == (None, bytes(340))


@pytest.mark.parametrize(("limit", "free"), [(0, 0), (1000, 2**62)])
def test_an_object_is_not_kept_without_room(tmp_path: Path, limit: int, free: int) -> None:
    cache = ObjectCache(tmp_path / "objects", limit, free)

    cache.put(FIRST, "sr", b"one", exists)

    assert cache.get(FIRST, "sr") is None


def test_a_full_disk_is_no_error(cache: ObjectCache, tmp_path: Path) -> None:
    (tmp_path / "objects").write_bytes(b"")  # no folder can be made here

    cache.put(FIRST, "sr", b"one", exists)

    assert cache.get(FIRST, "sr") is None


def test_a_malformed_id_names_no_file(cache: ObjectCache) -> None:
    for id in ("..", "1" * 31, "a/b"):
        with pytest.raises(NotFound):
            cache.get(id, "sr")
        with pytest.raises(NotFound):
            cache.delete(id)
