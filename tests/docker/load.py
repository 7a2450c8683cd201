"""Clients that post radiographs without pause, each request over a new connection."""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

CLIENTS = 6
PATIENCE_SECONDS = 180.0
FILES_PER_CLIENT = 500


@dataclass
class Load:
    """Posts radiographs until the `with` block ends.

    Parameters
    ----------
    post
        Posts one radiograph; called by several threads.
    clients
        Number of the threads.

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
    clients: int = CLIENTS
    acknowledged: list[str] = field(default_factory=list)
    refused: int = 0
    cut: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(self.clients)

    def __enter__(self) -> Self:
        self._running: list[Future[None]] = [self._pool.submit(self._run) for _ in range(self.clients)]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown()
        for client in self._running:
            client.result()

    def wait_for_acknowledged(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.acknowledged) < count:
            assert time.monotonic() < deadline, f"{len(self.acknowledged)} of {count}: {self.cut[:3]}"
            time.sleep(0.01)

    def wait_for_refused(self) -> None:
        """Wait until an attempt has found no listener."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.refused:
            assert time.monotonic() < deadline, self.cut[:3]
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


@dataclass
class Sender:
    """A sender that keeps a radiograph until it is acknowledged: after a 503, or no answer, it posts it again.

    Attributes
    ----------
    refusals
        The answers 503, and the errors in place of an answer.
    """

    url: str
    headers: dict[str, str]
    trust: ssl.SSLContext
    radiographs: Callable[[], bytes]
    refusals: list[httpx.Response | httpx.TransportError] = field(default_factory=list)

    def post(self) -> httpx.Response:
        """Post one radiograph until it is acknowledged; return the last answer.

        Raises
        ------
        KeyError
            A 503 had no Retry-After.
        """
        content, deadline = self.radiographs(), time.monotonic() + PATIENCE_SECONDS
        while True:
            refusal = self._attempt(content)
            if isinstance(refusal, httpx.Response) and refusal.status_code != 503:
                return refusal
            self.refusals.append(refusal)
            assert time.monotonic() < deadline, refusal
            time.sleep(1 if isinstance(refusal, Exception) else min(1, int(refusal.headers["Retry-After"])))

    def _attempt(self, content: bytes) -> httpx.Response | httpx.TransportError:
        url = f"{self.url}/v1/predictions"
        try:
            return httpx.post(url, content=content, headers=self.headers, timeout=60, verify=self.trust)
        except httpx.TransportError as error:
            return error


def lost(client: httpx.Client, ids: Sequence[str], pictures: int = 20) -> list[str]:
    """Return the links to records, and to the images of some, that can no longer be read."""
    links = [f"/v1/predictions/{id}" for id in ids]
    links += [f"/v1/predictions/{id}/image.png?width=16" for id in ids[:: max(1, len(ids) // pictures)]]
    return [link for link in links if client.get(link).status_code != 200]


def summary(load: Load, sender: Sender, missing: Sequence[str]) -> str:
    """Return in one line what became of all requests of a load; `bench.replicas` makes a table of such lines."""
    answers = [each for each in sender.refusals if isinstance(each, httpx.Response)]
    codes = Counter(str(answer.json()["code"]) for answer in answers)
    refused = ", ".join(f"{count} {code}" for code, count in sorted(codes.items())) or "none"
    silent = len(sender.refusals) - len(answers)
    return (
        f"{len(load.acknowledged)} acknowledged; refused with 503: {refused}; {silent} without an answer; "
        f"{load.refused + len(load.cut)} failed; {len(missing)} lost"
    )
