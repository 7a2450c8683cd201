"""The service over HTTP under closed-loop load, every file stored: `python -m bench.speed.throughput`."""

from bench.scores import table
from bench.speed import floor
from bench.speed.client import Request
from bench.speed.closed_loop import closed_loop, warm_up
from bench.speed.figure import Figure, Report, number, ratio
from bench.speed.films import Film
from bench.speed.kept import Rows
from bench.speed.section import Results, Run, Section
from bench.speed.size import CLIENTS, SYNTAXES

BARS = {"uncompressed": 0.85, "JPEG-LS": 0.9, "JPEG 2000": 0.95}  # a share of the floor


def post(film: Film) -> Request:
    """Return a request for a prediction of another copy of a film."""
    return Request("/v1/predictions", "application/dicom", film.copy())


def measure(run: Run) -> None:
    for film in run.films():
        warm_up(run.address, 2, lambda: post(film))  # noqa: B023
        for clients in CLIENTS:
            run.kept.once(
                key(film.name, clients),
                lambda: closed_loop(run.address, clients, run.size.window, lambda: post(film)),  # noqa: B023
            )


def key(syntax: str, clients: int) -> str:
    """Return the key of a row."""
    return f"{syntax}, {clients}"


def rate(results: Results, syntax: str, clients: int) -> float | None:
    """Return the answers a second, if they were measured."""
    row = results.get("throughput", {}).get(key(syntax, clients))
    return row["rate"] if row else None


def report(results: Results) -> Report:
    rows, bare = results.get("throughput", {}), results.get("floor", {})
    head = [
        "",
        "clients",
        "images a second",
        "p50",
        "p99",
        "answers",
        "over 2 floor processes that write",
        "that do not",
    ]
    lines = [_line(rows, bare, syntax, clients) for syntax in SYNTAXES for clients in CLIENTS]
    figures = [
        Figure(
            f"{syntax}: throughput at 8 clients over the two-process floor that writes and syncs",
            *("≥", bar, ratio(rate(results, syntax, 8), floor.rate(bare, syntax, 2, True))),
        )
        for syntax, bar in BARS.items()
    ]
    return Report(table([head, *lines]), [*figures, *_latency(rows, bare)])


def _line(rows: Rows, bare: Rows, syntax: str, clients: int) -> list[str]:
    row = rows.get(key(syntax, clients))
    if row is None:
        return [syntax, str(clients), *[""] * 6]
    shares = [ratio(row["rate"], floor.rate(bare, syntax, 2, stored)) for stored in (True, False)]
    times = [f"{1000 * row[name]:.0f} ms" for name in ("p50", "p99")]
    cells = [number(row["rate"]), *times, str(row["answers"]), *("" if s is None else number(s) for s in shares)]
    return [syntax, str(clients), *cells]


def _latency(rows: Rows, bare: Rows) -> list[Figure]:
    row = rows.get(key("uncompressed", 1), {})
    floors = {"reads only": False, "also writes and syncs": True}
    return [
        Figure(
            f"uncompressed: latency of one client over the time of a floor process that {does}",
            *("≤", 1.5, _times(row.get("p50"), floor.rate(bare, "uncompressed", 1, stored))),
        )
        for does, stored in floors.items()
    ]


def _times(seconds: float | None, a_second: float | None) -> float | None:
    return seconds * a_second if seconds and a_second else None


SECTION = Section("throughput", "Throughput and latency over HTTP", measure, report, served=True)

if __name__ == "__main__":
    from bench.speed.command import main

    main("throughput")
