"""Memory of the whole process tree after many requests: `python -m bench.speed.memory`.

Small radiographs: what leaks is counted by the request, and a large one would only hide it.
"""

from concurrent.futures import ThreadPoolExecutor

from bench.processes import tree_mib
from bench.scores import table
from bench.speed.client import Connection
from bench.speed.figure import Figure, Report, ratio
from bench.speed.films import Film
from bench.speed.section import Results, Run, Section
from bench.speed.throughput import post

_CLIENTS = 4
_PARTS = 20
_SIDE = 256


def measure(run: Run) -> None:
    """Send all requests, and keep the memory after each twentieth."""
    [film] = run.films(("uncompressed",), _SIDE, _SIDE)

    def curve() -> list[float]:
        return [_after(run, film, run.size.requests // _PARTS) for _ in range(_PARTS)]

    run.kept.once(f"MiB after each 1/{_PARTS} of {run.size.requests} requests", curve)


def report(results: Results) -> Report:
    rows = results.get("memory", {})
    if not rows:
        return Report("", [_figure(None)])
    [(title, curve)] = rows.items()
    chosen = (0, 1, 4, 9, 14, 19)
    cells = [["after", *(f"{n + 1}/{_PARTS}" for n in chosen)], ["MiB", *(f"{curve[n]:.0f}" for n in chosen)]]
    text = f"""{title.split("each 1/20 of ")[1]} of {_SIDE} × {_SIDE} pixels from {_CLIENTS} clients, all stored. The
sum of the proportional set sizes of all processes.

{table(cells)}"""
    return Report(text, [_figure(ratio(curve[-1], curve[0]))])


def _figure(value: float | None) -> Figure:
    return Figure("memory after 20,000 requests over after 1,000", "≤", 1.05, value)


def _after(run: Run, film: Film, count: int) -> float:
    def client(number: int) -> None:
        with Connection(run.address) as connection:
            for _ in range(number, count, _CLIENTS):
                answer = connection.post(post(film))
                if answer.status != 200:
                    raise RuntimeError(f"expected 200, got {answer.status}: {answer.body[:300]!r}")

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(client, range(_CLIENTS)))
    return tree_mib(run.pid)


SECTION = Section("memory", "Memory", measure, report, served=True)

if __name__ == "__main__":
    from bench.speed.command import main

    main("memory")
