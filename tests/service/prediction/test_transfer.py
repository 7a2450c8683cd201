import gc
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.prediction.transfer import pack, receive, send

LARGE = 2**17


@dataclass(frozen=True, eq=False)
class Pair:
    words: np.ndarray
    name: str


def sent(value: object) -> object:
    here, there = multiprocessing.Pipe()
    with here, there:
        send(here, pack(value))
        return receive(there)


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


def test_no_memory_and_no_descriptor_is_left() -> None:
    def open_files() -> int:
        return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))

    before = open_files()
    for _ in range(20):
        sent(np.zeros(LARGE))
    assert open_files() == before
    gc.collect()  # what an earlier test left in a circle may hold some
    assert "memfd:arrays" not in Path("/proc/self/maps").read_text()


def test_the_death_of_the_other_end_ends_the_wait() -> None:
    here, there = multiprocessing.Pipe()
    here.close()
    with there, pytest.raises(EOFError):
        receive(there)
