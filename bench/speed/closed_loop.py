"""Closed-loop load: each client sends its next request when its last one has been answered."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.speed.client import Connection, Request

_WARM_UP = 0.25  # share of the window that runs before it


@dataclass(frozen=True)
class Load:
    """What some clients measured in a window.

    Attributes
    ----------
    rate
        Answers a second.
    p50, p99
        Seconds from the first byte of a request to the last of its answer.
    answers
        Number of answers in the window.
    """

    rate: float
    p50: float
    p99: float
    answers: int


def closed_loop(address: str, clients: int, window: float, request: Callable[[], Request]) -> dict[str, Any]:
    """Run clients for a window of so many seconds, and return a `Load` as a dictionary.

    Raises
    ------
    RuntimeError
        A request was not answered 200.
    """
    start = time.perf_counter() + _WARM_UP * window
    end = start + window

    def client() -> list[tuple[float, float]]:
        with Connection(address) as connection:
            times: list[tuple[float, float]] = []
            while not times or time.perf_counter() < end:  # also in a window that is over before the client begins
                times.append(_exchange(connection, request()))
            return times

    with ThreadPoolExecutor(clients) as pool:
        times = [pair for future in [pool.submit(client) for _ in range(clients)] for pair in future.result()]
    return asdict(load([each for each in times if start <= each[1] < end] or times[-1:], window))


def warm_up(address: str, clients: int, request: Callable[[], Request]) -> None:
    """Send one request from each client at the same time."""

    def client() -> None:
        with Connection(address) as connection:
            _exchange(connection, request())

    with ThreadPoolExecutor(clients) as pool:
        for future in [pool.submit(client) for _ in range(clients)]:
            future.result()


def load(times: list[tuple[float, float]], window: float) -> Load:
    """Summarise the beginnings and ends of requests that ended within a window."""
    seconds = [end - begin for begin, end in times]
    return Load(len(times) / window, float(np.percentile(seconds, 50)), float(np.percentile(seconds, 99)), len(times))


def _exchange(connection: Connection, request: Request) -> tuple[float, float]:
    begin = time.perf_counter()
    answer = connection.post(request)
    if answer.status != 200:
        raise RuntimeError(f"{request.path}: expected 200, got {answer.status}: {answer.body[:300]!r}")
    return begin, time.perf_counter()
