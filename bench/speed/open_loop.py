"""Open-loop load, requests that wait for no earlier answer: `python -m bench.speed.open_loop`.

Latency counts from the moment at which a request should have been sent, so a client that was late hides nothing.
"""

import heapq
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.scores import table
from bench.speed import throughput
from bench.speed.client import Answer, Connection, Request
from bench.speed.closed_loop import closed_loop
from bench.speed.figure import Figure, Report, number, ratio
from bench.speed.kept import Rows
from bench.speed.section import Results, Run, Section

MODERATE, OVER = 0.7, 2.0  # shares of the capacity
_CLIENTS = 128  # more than the places of the service
_WARM_UP = 0.2  # share of the window that runs before it


@dataclass(frozen=True)
class Exchange:
    """One request: seconds at which it was due, begun and answered, and its answer; None for a closed connection."""

    due: float
    begun: float
    ended: float
    answer: Answer | None

    @property
    def status(self) -> int:
        """The status of the answer; 0 if there was none."""
        return self.answer.status if self.answer else 0

    @property
    def admitted(self) -> bool:
        """Whether the server has answered `100 Continue`, so that the client sends the body."""
        return self.answer is not None and self.answer.admitted


def arrivals(rate: float, seconds: float, seed: int = 0) -> list[float]:
    """Return the moments of a Poisson process."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / rate, int(2 * rate * seconds + 20)))
    return [float(moment) for moment in times if moment < seconds]


def send(
    address: str, moments: list[float], request: Callable[[], Request], patient: Callable[[int], bool]
) -> list[Exchange]:
    """Send a request at each moment, each over a connection of its own.

    `patient(n)` is whether the n-th client waits for the permission to send its body (Expect: 100-continue).
    """
    start = time.perf_counter()

    def exchange(number: int, due: float) -> Exchange:
        time.sleep(max(0, start + due - time.perf_counter()))
        begun = time.perf_counter() - start
        try:
            with Connection(address) as connection:
                post = connection.post_if_admitted if patient(number) else connection.post_until_answered
                answer = post(request())
        except ConnectionError:
            answer = None
        return Exchange(due, begun, time.perf_counter() - start, answer)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        return list(pool.map(exchange, range(len(moments)), moments))


def measure(run: Run) -> None:
    [film] = run.films(("uncompressed",))
    window = run.size.open_window
    warm_up = _WARM_UP * window

    def request() -> Request:
        return throughput.post(film)

    capacity = run.kept.once("capacity", lambda: closed_loop(run.address, 8, run.size.window, request))["rate"]

    def moderate() -> Rows:
        moments = arrivals(MODERATE * capacity, warm_up + window)
        p50, p99 = np.percentile(queue_times(MODERATE, len(os.sched_getaffinity(0))), (50, 99))
        exchanges = send(run.address, moments, request, lambda _: True)
        return calm(exchanges, warm_up) | {"ideal": float(p99 / p50)}

    def over() -> Rows:
        moments = arrivals(OVER * capacity, warm_up + window / 2)
        return crowded(
            send(run.address, moments, request, lambda number: number % 4 > 0), warm_up, warm_up + window / 2
        )

    run.kept.once("moderate", moderate)
    run.kept.once("over", over)


def queue_times(load: float, servers: int, requests: int = 200_000) -> list[float]:
    """Return the time that each request spends in an ideal queue whose servers take the same time for every request.

    The unit is the time in which all servers together do one request.
    """
    free = [0.0] * servers
    times = []
    for due in arrivals(load, requests / load):
        ended = max(due, heapq.heappop(free)) + servers
        heapq.heappush(free, ended)
        times.append(ended - due)
    return times


def calm(exchanges: list[Exchange], start: float) -> Rows:
    """Summarise the latencies of a load below the capacity."""
    counted = [exchange for exchange in exchanges if exchange.due >= start] or exchanges[-1:]
    answered = [exchange.ended - exchange.due for exchange in counted if exchange.status == 200]
    p50, p99 = (float(np.percentile(answered, part)) for part in (50, 99))
    late = max(exchange.begun - exchange.due for exchange in counted)
    return {"requests": len(counted), "answered": len(answered), "p50": p50, "p99": p99, "begun late": late}


def crowded(exchanges: list[Exchange], start: float, end: float) -> Rows:
    """Summarise a load above the capacity: what was answered in a window, and how what was not was refused."""
    good = [exchange for exchange in exchanges if exchange.status == 200 and start <= exchange.ended < end]
    counted = [(number, exchange) for number, exchange in enumerate(exchanges) if exchange.due >= start]
    refused = [(number, exchange) for number, exchange in counted if exchange.status not in (0, 200)]
    return {
        "goodput": len(good) / (end - start),
        "requests": len(counted),
        "refused": len(refused),
        "closed without an answer": sum(exchange.status == 0 for _, exchange in counted),
        "statuses": sorted({exchange.status for _, exchange in refused}),
        "without Retry-After": sum("retry-after" not in _headers(exchange) for _, exchange in refused),
        "refused after the body": sum(exchange.admitted for _, exchange in refused),
        "refusal": _times([exchange for number, exchange in refused if number % 4 and not exchange.admitted]),
        "refusal of impatient clients": _times([exchange for number, exchange in refused if not number % 4]),
    }


def report(results: Results) -> Report:
    rows = results.get("open_loop", {})
    capacity, moderate, over = (rows.get(name, {}) for name in ("capacity", "moderate", "over"))
    refusal = over.get("refusal") or {}
    figures = [
        Figure(
            f"p99 over p50 at {100 * MODERATE:.0f} % load", "≤", 2.5, ratio(moderate.get("p99"), moderate.get("p50"))
        ),
        Figure(
            f"goodput at {100 * OVER:.0f} % load over capacity",
            "≥",
            0.9,
            ratio(over.get("goodput"), capacity.get("rate")),
        ),
        Figure("time to a refusal, before the body is read, p99", "≤", 100, _ms(refusal.get("p99")), " ms"),
    ]
    return Report(_text(capacity, moderate, over), figures)


def _text(capacity: Rows, moderate: Rows, over: Rows) -> str:
    if not over:
        return ""
    refusals = [
        [name, *(f"{_ms(over[key][part]):.0f} ms" if over[key] else "" for part in ("p50", "p99"))]
        for name, key in (
            ("waits for 100 Continue", "refusal"),
            ("sends at once, reads meanwhile", "refusal of impatient clients"),
        )
    ]
    return f"""Uncompressed files arrive at random (Poisson), each over a connection of its own. Capacity, 8 clients in
a closed loop: {number(capacity["rate"])} a second.

At {100 * MODERATE:.0f} %: {moderate["answered"]} of {moderate["requests"]} answered, p50 {_ms(moderate["p50"]):.0f} ms,
p99 {_ms(moderate["p99"]):.0f} ms from the moment at which a request was due; the latest client began
{_ms(moderate["begun late"]):.0f} ms late. p99 over p50 of an ideal queue at this load, with a server for each core that
takes the same time for every request: {number(moderate["ideal"])}.

At {100 * OVER:.0f} %: goodput {number(over["goodput"])} a second; {over["refused"]} of {over["requests"]} refused with
{", ".join(map(str, over["statuses"])) or "nothing"}, {over["without Retry-After"]} of them without Retry-After;
{over["closed without an answer"]} connections closed without an answer that could be read. One client in four sends its
body at once. {over["refused after the body"]} that waited were admitted, and refused only when their body had arrived:
by then the places of those that are decoded were taken.

{table([["time to a refusal, from the connection on", "p50", "p99"], *refusals])}"""


def _headers(exchange: Exchange) -> dict[str, str]:
    return exchange.answer.headers if exchange.answer else {}


def _times(exchanges: list[Exchange]) -> Rows | None:
    seconds: list[Any] = [exchange.ended - exchange.begun for exchange in exchanges]
    return {f"p{part}": float(np.percentile(seconds, part)) for part in (50, 99)} if seconds else None


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds


SECTION = Section("open_loop", "Random arrivals and overload", measure, report, served=True)

if __name__ == "__main__":
    from bench.speed.command import main

    main("open_loop")
