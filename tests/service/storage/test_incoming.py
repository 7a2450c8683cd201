import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest

from service.errors import StorageFull
from service.storage.incoming import Incoming


def test_a_file_is_at_its_place_once_it_is_kept(tmp_path: Path) -> None:
    with closing(Incoming(tmp_path / "a.dcm")) as file:
        file.write([b"12", b"", bytearray(b"345")])
        assert (file.size, file.name, file.partial.read_bytes()) == (5, "a.dcm", b"12345")
        assert not (tmp_path / "a.dcm").exists()
        file.sync()
        file.keep()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a.dcm", b"12345")]


def test_a_file_that_is_not_kept_is_deleted(tmp_path: Path) -> None:
    with closing(Incoming(tmp_path / "a.dcm")) as file:
        file.write([b"1"])
    file.close()
    file.sync()  # as a thread may that began before
    assert not any(tmp_path.iterdir())


def test_closing_waits_for_a_thread_that_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the thread would write into whatever file has the descriptor next."""
    begun, go_on, write = Event(), Event(), os.write

    def slow(descriptor: int, data: memoryview) -> int:
        begun.set()
        assert go_on.wait(20)
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", slow)
    file = Incoming(tmp_path / "a.dcm")
    with ThreadPoolExecutor(2) as pool:
        writing = pool.submit(file.write, [b"1"])
        assert begun.wait(20)
        closing_ = pool.submit(file.close)
        with pytest.raises(TimeoutError):
            closing_.result(0.1)
        go_on.set()
        writing.result(20)
        closing_.result(20)
    assert file.size == 1
    with pytest.raises(StorageFull):
        file.write([b"2"])


def test_a_folder_that_is_gone_is_full_storage(tmp_path: Path) -> None:
    with pytest.raises(StorageFull):
        Incoming(tmp_path / "gone" / "a.dcm")
    with closing(Incoming(tmp_path / "a.dcm")) as file:
        file.partial.unlink()
        with pytest.raises(StorageFull):
            file.keep()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_full_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open
    monkeypatch.setattr(os, "open", lambda _path, flags, _mode: opened("/dev/full", flags & ~os.O_EXCL))
    with closing(Incoming(tmp_path / "a.dcm")) as file, pytest.raises(StorageFull, match="No space left"):
        file.write([b"1"])
