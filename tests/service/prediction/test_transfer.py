import gc
import multiprocessing
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import send_handle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prediction.transfer import Garbled, Handed, pack, receive, send, unpack

LARGE = 2**17


@dataclass(frozen=True, eq=False)
class Pair:
    words: np.ndarray
    name: str


def sent(value: object) -> object:
    here, there = multiprocessing.Pipe()
    with here, there:
        send(here, pack(value))
        return unpack(receive(there, files=2))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 40_000), max_size=4))
def test_arrays_of_any_size_arrive_unchanged(sizes: list[int]) -> None:
    arrays = [np.arange(size, dtype=np.float32) for size in sizes]
    arrived = sent((arrays, "text"))
    assert isinstance(arrived, tuple)
    assert arrived[1] == "text"
    assert [array.tolist() for array in arrived[0]] == [array.tolist() for array in arrays]


@pytest.mark.parametrize("order", ["C", "F"])
def test_large_arrays_are_not_in_the_pickle(order: str) -> None:
    pair = Pair(np.asarray(np.arange(LARGE).reshape(2, -1), np.uint16, order), "x")
    package = pack(pair)
    arrived = sent(pair)

    assert sum(array.nbytes for array in package.arrays) == 2 * LARGE
    assert len(package.content) < 1000
    assert isinstance(arrived, Pair)
    assert np.array_equal(arrived.words, pair.words)


def open_files() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


def shared() -> set[str]:
    """Return the lines of what this process maps that are memory for arrays; other tests of it may hold some."""
    gc.collect()
    return {line for line in Path("/proc/self/maps").read_text().splitlines() if "memfd:arrays" in line}


def test_no_memory_and_no_descriptor_is_left() -> None:
    mapped, before = shared(), open_files()
    for _ in range(20):
        sent(np.zeros(LARGE))
    assert open_files() == before
    assert shared() <= mapped


def test_the_death_of_the_other_end_ends_the_wait() -> None:
    here, there = multiprocessing.Pipe()
    here.close()
    with there, pytest.raises(EOFError):
        receive(there)


# Files


def test_a_file_arrives_open_and_is_closed_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    gc.collect()  # what other tests have left
    before = open_files()

    first, (second, number) = sent((Handed(path), [Handed(path), 7]))

    assert (first.read(), second.read(), number) == (b"content", b"content", 7)
    assert not first.writable()
    first.close()
    second.close()
    assert open_files() == before


def test_a_file_that_is_not_there_is_an_error_of_who_sends_and_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    gc.collect()  # what other tests have left
    before = open_files()
    with pytest.raises(FileNotFoundError):
        pack([Handed(tmp_path / "file"), Handed(tmp_path / "gone")])
    with pytest.raises(Exception, match="pickle"):
        pack([Handed(tmp_path / "file"), lambda: 0])
    assert open_files() == before


# What a process sends that is not itself any more


def garble(write: Callable[[Connection], None]) -> None:
    here, there = multiprocessing.Pipe()
    with here, there:
        write(here)
        here.close()
        with pytest.raises((Garbled, EOFError)) as caught:
            receive(there)
        assert caught.type is Garbled


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"short",
        struct.pack("<QQ", 2**40, 0),  # a pickle without end
        struct.pack("<QQ", 10, 1),  # a file, where none is expected
        struct.pack("<QQ", 10, 2**63),
        struct.pack("<QQQ", 10, 0, 2**31),  # arrays without end
        struct.pack("<QQQQ", 10, 0, 2**30, 2**30),
        struct.pack("<QQ", 10, 0) + b"half",
        bytes(2**17),
    ],
    ids=range(9),
)
def test_a_head_that_is_none_is_refused(head: bytes) -> None:
    garble(lambda pipe: pipe.send_bytes(head))


def test_a_pickle_longer_than_announced_is_refused() -> None:
    def write(pipe: Connection) -> None:
        pipe.send_bytes(struct.pack("<QQ", 10, 0))
        pipe.send_bytes(bytes(11))

    garble(write)


def with_memory(pipe: Connection, size: int, descriptor: int) -> None:
    pipe.send_bytes(struct.pack("<QQQ", 1, 0, size))
    pipe.send_bytes(b"N")
    send_handle(pipe, descriptor, None)
    os.close(descriptor)


def test_arrays_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """To read them would be SIGBUS, which ends the process."""
    garble(lambda pipe: with_memory(pipe, LARGE, os.memfd_create("short", os.MFD_ALLOW_SEALING)))
    (tmp_path / "file").write_bytes(bytes(LARGE))
    garble(lambda pipe: with_memory(pipe, LARGE, os.open(tmp_path / "file", os.O_RDWR)))


def test_memory_cannot_be_taken_away_from_who_has_received_it() -> None:
    here, there = multiprocessing.Pipe()
    with here, there:
        memory = os.memfd_create("arrays", os.MFD_ALLOW_SEALING)
        os.write(memory, bytes(range(256)) * (LARGE // 256))
        with_memory(here, LARGE, os.dup(memory))
        (array,) = receive(there).arrays
        with pytest.raises(PermissionError):
            os.truncate(memory, 0)
        os.close(memory)
        assert bytes(array[:3]) == b"\0\1\2"
