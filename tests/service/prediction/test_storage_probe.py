"""The readiness probe on storage that does not answer."""

import asyncio
import threading
from typing import Any, cast

import pytest

from service.errors import Overloaded
from service.prediction import storage_probe as module
from service.prediction.storage_probe import StorageProbe


class Hung:
    """Instances and a database; it answers once it is let go, and counts who has asked."""

    threads = None

    def __init__(self) -> None:
        self.asked, self.free = 0, threading.Event()

    def check_present(self) -> None:
        self.asked += 1

    def check_answers(self) -> None:
        assert self.free.wait(60)


def test_while_storage_hangs_one_thread_waits_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LONGEST_SECONDS", 0.02)
    monkeypatch.setattr(module, "_FRESH_SECONDS", 0.0)
    hung = Hung()
    probe = StorageProbe(*cast(Any, (hung, hung)))

    async def ask() -> None:
        for _ in range(5):
            with pytest.raises(Overloaded) as caught:
                await probe.check()
            assert (caught.value.code, caught.value.message) == ("storage_unavailable", "storage does not answer")
        async with asyncio.timeout(60):
            while not hung.asked:  # the thread may be late
                await asyncio.sleep(0.01)
            assert hung.asked == 1

            hung.free.set()
            while True:
                try:
                    return await probe.check()
                except Overloaded:
                    await asyncio.sleep(0.01)

    asyncio.run(ask())
