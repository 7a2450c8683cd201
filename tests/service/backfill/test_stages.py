"""The stages of a back-fill by a cluster, without the cluster."""

import asyncio
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.backfill.stages import Reader
from service.errors import Overloaded


class Source:
    """Files of which one cannot be read, as its archive is down; the others are not read before that is known."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has_failed = Event()

    def read(self, name: str, _limit: int) -> bytes:
        self.asked.append(name)
        if name == "unavailable":
            raise Overloaded("the archive is down", SOURCE_UNAVAILABLE)
        assert self.has_failed.wait(60)
        return name.encode()


class Decoders:
    async def prepare(self, *_: object) -> None:
        await asyncio.sleep(0.02)
        raise ValueError


def reader(source: Source) -> Reader:
    """Return a reader without an artefact and a decoder process; each of its files is refused."""
    made: Any = Reader.__new__(Reader)
    made._source, made._limit, made._delivers = source, 9, False
    made._rule, made._table = SimpleNamespace(canvas_size=8, resize="pad"), SimpleNamespace(row=lambda _: {})
    made._decoders, made._loop = Decoders(), asyncio.Runner()
    return made


def test_a_batch_that_is_stopped_leaves_nothing_to_the_next() -> None:
    source = Source()
    read: Any = reader(source)
    old, new = (np.array([f"{age}{number}" for number in range(4)]) for age in ("old", "new"))
    with read._loop:
        with pytest.raises(Overloaded):
            read({"file": np.array(["unavailable", *old])})
        source.has_failed.set()
        read({"file": new})
    begun = set(old[:2])  # one beside the file that fails and one in its place: no thread can be called back
    assert set(source.asked) - begun == {"unavailable", *new}
