"""The files of a folder."""

import errno
import os
import shutil
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from service.backfill.folder import Folder
from service.backfill.outcome import Outcome
from service.backfill.work import Work
from service.errors import ConfigurationError, Overloaded, TooLarge, TriageError

Fail = Callable[[str, int], None]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Write three files."""
    folder = tmp_path / "archive"
    for name in ("b.dcm", "2024/a", "2024/01/1.2.3"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Return a function that lets all files and folders fail whose paths have some end."""
    opened, listed = os.open, os.scandir

    def make(end: str, number: int) -> None:
        def check(path: object) -> None:
            if str(path).endswith(end):
                raise OSError(number, os.strerror(number))

        def fail_open(path: str, *arguments: int) -> int:
            check(path)
            return opened(path, *arguments)

        def fail_scandir(path: str) -> object:
            check(path)
            return listed(path)

        monkeypatch.setattr(os, "open", fail_open)
        monkeypatch.setattr(os, "scandir", fail_scandir)

    return make


def outcome(folder: Folder, name: str) -> Outcome:
    with pytest.raises(TriageError) as caught:
        folder.read(name, 100)
    return Outcome(name, error=caught.value)


def code(outcome: Outcome) -> str:
    assert isinstance(outcome.error, TriageError)
    return outcome.error.code


def test_every_file_is_listed_and_read_by_its_path_below_the_root(archive: Path) -> None:
    folder = Folder(str(archive))
    assert {name: folder.read(name, 100).decode() for name in folder.references()} == {
        name: name for name in ("b.dcm", "2024/a", "2024/01/1.2.3")
    }
    assert folder.read("b.dcm", 5) == b"b.dcm"
    with pytest.raises(TooLarge, match="at most 4 bytes"):
        folder.read("b.dcm", 4)


def test_a_flat_folder_takes_no_memory(tmp_path: Path) -> None:
    for number in range(20_000):
        os.close(os.open(tmp_path / f"1.2.840.113619.2.1.{number}.dcm", os.O_CREAT))
    folder = Folder(str(tmp_path))
    tracemalloc.start()
    try:
        assert sum(1 for _ in folder.references()) == 20_000
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 1_000_000  # a list of the names would take 2,000,000


def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xf6ntgen.dcm")).write_bytes(b"x")
    folder = Folder(str(tmp_path))
    [name] = folder.references()
    assert (os.fsencode(name), folder.read(name, 9)) == (b"r\xf6ntgen.dcm", b"x")


def test_links_to_folders_are_followed_but_not_in_a_circle(archive: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep" / "c").write_bytes(b"c")
    (archive / "2020").symlink_to("../elsewhere")
    (archive / "2021").symlink_to(elsewhere)
    (elsewhere / "deep" / "up").symlink_to("..")
    (archive / "2024" / "self").symlink_to(".")
    (archive / "d.dcm").symlink_to("b.dcm")
    folder = Folder(str(archive))

    added = ["2020/deep/c", "2021/deep/c", "d.dcm"]
    assert sorted(folder.references()) == sorted(["b.dcm", "2024/a", "2024/01/1.2.3", *added])
    assert [folder.read(name, 100) for name in added] == [b"c", b"c", b"b.dcm"]


def test_a_link_to_nothing_is_tried_again_and_one_in_a_circle_is_refused(archive: Path) -> None:
    (archive / "broken").symlink_to("nothing")
    (archive / "circle").symlink_to("circle")
    folder = Folder(str(archive))
    for name, expected in (("broken", ("file_gone", False)), ("circle", ("unreadable", True))):
        assert name in set(folder.references())
        found = outcome(folder, name)
        assert (code(found), found.is_final) == expected


def test_only_regular_files_are_opened(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(archive / "pipe.dcm")
    (archive / "zero").symlink_to("/dev/zero")
    monkeypatch.chdir(archive)  # the name of a socket is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        folder = Folder(str(archive))
        for name in ("pipe.dcm", "zero", "socket"):
            assert name in set(folder.references())
            found = outcome(folder, name)
            assert (code(found), found.is_final) == ("not_a_regular_file", True)


def test_files_of_a_folder_that_was_moved_away_are_tried_again(archive: Path) -> None:
    folder = Folder(str(archive), pauses=())
    names = list(folder.references())
    (archive / "2024").rename(archive.parent / "moved")
    for name in names:
        if name != "b.dcm":
            found = outcome(folder, name)
            assert (code(found), found.is_final, found.stops) == ("file_gone", False, None)
    (archive.parent / "moved").rename(archive / "2024")
    assert [folder.read(name, 100).decode() for name in names] == names


def test_a_folder_that_vanishes_while_it_is_listed_ends_nothing(archive: Path) -> None:
    for number in range(3):
        (archive / f"f{number}").mkdir()
        (archive / f"f{number}" / "x").write_bytes(b"")
    folder, seen = Folder(str(archive), pauses=()), set()
    for name in folder.references():
        seen.add(name)
        for number in range(3):
            if not any(each.startswith(f"f{number}") for each in seen):
                shutil.rmtree(archive / f"f{number}", ignore_errors=True)
    assert {"b.dcm", "2024/a", "2024/01/1.2.3"} <= seen
    gone = seen & {"f0", "f1", "f2"}
    assert len(gone) >= 2
    assert [code(outcome(folder, name)) for name in gone] == ["file_gone"] * len(gone)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_on_a_bad_sector_is_tried_again_and_ends_nothing(archive: Path, fail: Fail, number: int) -> None:
    folder = Folder(str(archive), pauses=(0.0,))
    fail("2024/a", number)
    found = outcome(folder, "2024/a")
    assert (code(found), found.is_final, found.stops) == ("file_unavailable", False, None)
    assert folder.read("b.dcm", 100) == b"b.dcm"


def test_a_file_without_permission_is_tried_again_at_the_next_run(archive: Path, fail: Fail) -> None:
    folder = Folder(str(archive), pauses=(0.0,))
    fail("2024/a", errno.EACCES)
    found = outcome(folder, "2024/a")
    assert (code(found), found.is_final, found.stops) == ("file_unavailable", False, None)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EACCES])
def test_a_source_that_fails_as_a_whole_ends_the_run(archive: Path, fail: Fail, number: int) -> None:
    folder = Folder(str(archive), pauses=(0.0,))
    fail("", number)
    found = outcome(folder, "b.dcm")
    assert (code(found), found.stops) == ("source_unavailable", found.error)
    with pytest.raises(Overloaded) as caught:
        list(folder.references())
    assert caught.value.code == "source_unavailable"


def test_a_source_that_is_gone_ends_the_run(archive: Path) -> None:
    folder = Folder(str(archive), pauses=())
    archive.rename(archive.parent / "moved")
    found = outcome(folder, "b.dcm")
    assert (code(found), found.stops) == ("source_unavailable", found.error)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_listed_stands_for_its_files(archive: Path, fail: Fail, number: int) -> None:
    folder = Folder(str(archive), pauses=())
    fail("2024/01", number)
    assert sorted(folder.references()) == ["2024/01", "2024/a", "b.dcm"]
    assert not outcome(folder, "2024/01").is_final


def test_a_folder_that_can_be_listed_again_waits_for_the_next_run(archive: Path) -> None:
    found = outcome(Folder(str(archive)), "2024/01")
    assert (code(found), found.is_final, found.stops) == ("file_unavailable", False, None)


def test_a_folder_that_fails_in_the_middle_of_its_list_stands_for_the_rest(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.scandir

    class Broken:
        def __init__(self, path: Path) -> None:
            self._entries, self._is_bad = listed(path), path.name in bad

        def __enter__(self) -> "Broken":
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            self._entries.close()

        def __next__(self) -> os.DirEntry[str]:
            if self._is_bad:
                raise OSError(errno.EIO, "Input/output error")
            return next(self._entries)

    bad, folder = {"01"}, Folder(str(archive), pauses=())
    monkeypatch.setattr(os, "scandir", Broken)
    assert sorted(folder.references()) == ["2024/01", "2024/a", "b.dcm"]
    bad.add("archive")
    with pytest.raises(Overloaded) as caught:
        list(folder.references())
    assert caught.value.code == "source_unavailable"


def test_a_source_is_a_folder(archive: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        Folder("/nowhere/at/all")
    with pytest.raises(ConfigurationError, match="not a folder"):
        Folder(str(archive / "b.dcm"))


@pytest.mark.parametrize("form", ["{}", "file://{}", "{}/"])
def test_a_path_and_its_url_are_a_folder(archive: Path, form: str) -> None:
    work = Work.__new__(Work)
    object.__setattr__(work, "source", form.format(archive))
    source = work.opened()
    assert isinstance(source, Folder)
    assert source.read("b.dcm", 100) == b"b.dcm"
