"""Clients that post radiographs without pause, each request over a new connection."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

CLIENTS = 6
FILES_PER_CLIENT = 200


@dataclass
class Load:
    """Posts radiographs until the `with` block ends.

    Attributes
    ----------
    acknowledged
        Ids of the predictions returned.
    refused
        Number of attempts that found no listener, so that no request was sent.
    cut
        Errors and bodies of the requests that were accepted but not answered with 200.
    """

    post: Callable[[], httpx.Response]
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    cut: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CLIENTS)

    def __enter__(self) -> Self:
        self._clients: list[Future[None]] = [self._pool.submit(self._run) for _ in range(CLIENTS)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown()
        for client in self._clients:
            client.result()

    def wait_for_acknowledged(self, count: int) -> None:
        deadline = time.monotonic() + 60
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {count}: {self.cut[:3]}"
            time.sleep(0.01)

    def _run(self) -> None:
        for _ in range(FILES_PER_CLIENT):
            if self._stop.is_set():
                return
            self._post()

    def _post(self) -> None:
        try:
            answer = self.post()
        except httpx.ConnectError:
            self.refused += 1
            self._stop.wait(0.05)
        except httpx.TransportError as error:
            self.cut.append(repr(error))
        else:
            if answer.status_code == 200:
                self.acknowledged.append(answer.json()["id"])
            else:
                self.cut.append(answer.text)
