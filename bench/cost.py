"""What a back-fill costs, from the figures of bench/RESULTS.md: `python -m bench.cost [--core-hour PRICE] [--check]`.

The floor is what bare processes on the machine that the page names take for one file. Prices are no
measurement: they are an option, whose default is what a core costs an hour at the usual clouds' list prices.
`--check` runs `triage backfill` on this machine, and compares its rate with the floor's.
"""

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.backfill import seconds
from bench.scores import table
from bench.speed.command import PAGE
from bench.speed.films import Film, films
from bench.speed.section import BUILD
from bench.speed.size import FULL
from service.inference.provider import processors

MILLION = 1_000_000
# MB a second; a hard disk and an NVMe disk read large files about so fast
LINKS = {"1 Gbit/s": 125.0, "10 Gbit/s": 1250.0, "25 Gbit/s": 3125.0, "a hard disk": 200.0, "an NVMe disk": 3000.0}
CORES = (2, 64, 640)


@dataclass(frozen=True)
class Floor:
    """What one file takes without the service: seconds of a core for all of it, and for the network."""

    core_seconds: float
    network_seconds: float


def floors(page: str) -> dict[str, Floor]:
    """Return the floor of each transfer syntax.

    The core seconds follow from the rate of as many processes as there are cores. The time of one file says less: a
    decoder may use several cores for it, as that of JPEG 2000 does.
    """
    rates, parts = _table(page, "files a second"), _table(page, "milliseconds of one file")
    *_, column = (name for name in next(iter(rates.values())) if re.fullmatch(r"\d+ process(es)?", name))
    cores = int(column.split()[0])
    return {syntax: Floor(cores / rates[syntax][column], cells["network"] / 1000) for syntax, cells in parts.items()}


def _table(page: str, first: str) -> dict[str, dict[str, float]]:
    """Return the cells of the table that begins with a text, by the names of rows and columns."""
    lines = iter(page[page.index(f"| {first}") :].splitlines())
    names = _cells(next(lines))[1:]
    next(lines)
    rows: dict[str, dict[str, float]] = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, *values = _cells(line)
        rows[name] = {column: float(value) for column, value in zip(names, values, strict=True) if value}
    return rows


def duration(hours: float) -> str:
    """Return a time for people."""
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.0f} min"


def report(page: str, megabytes: Mapping[str, float], options: argparse.Namespace) -> str:
    """Return the tables."""
    rows = floors(page)
    machine = re.search(r"\| machine \| (.*?) \|", page)
    about = ["one million files of 2500 × 3000 pixels", "TB", "core seconds a file", "of these the network"]
    costs = [[*about, "core hours", "price", *(f"{count} cores" for count in CORES)]]
    for syntax, floor in rows.items():
        each = floor.core_seconds
        hours, network = each * MILLION / 3600, floor.network_seconds / each
        row = [f"{megabytes[syntax] * MILLION / 1e6:.1f}", f"{each:.3f}", f"{100 * network:.0f} %", f"{hours:.0f}"]
        price = f"{hours * options.core_hour:.2f}"
        costs.append([syntax, *row, price, *(duration(hours / count) for count in CORES)])
    full = [["full at", *(f"{name}: files/s, cores" for name in LINKS)]]
    for syntax, floor in rows.items():
        rates = [speed / megabytes[syntax] for speed in LINKS.values()]
        full.append([syntax, *(f"{rate:.0f}, {math.ceil(rate * floor.core_seconds)}" for rate in rates)])
    return f"""On {machine[1] if machine else "an unnamed machine"}; a core costs {options.core_hour:g} an hour. \
There is no price on a GPU, as the speed of none was measured.

{table(costs)}

A link or a disk is full at so many files a second, for which so many cores compute:

{table(full)}"""


def check(page: str, films: Sequence[Film], folder: Path, options: argparse.Namespace) -> str:
    """Return a table of the rates of the local engine beside those that follow from the page."""
    rows, cores = floors(page), processors()
    lines = [["files", f"floor, {cores} cores: files/s", "measured: files/s", "measured / floor"]]
    for film in films:
        expected = cores / rows[film.name].core_seconds
        count = max(20, math.ceil(options.seconds * expected))
        whole, one = (_seconds(film, folder, number) for number in (count, 1))
        measured = (count - 1) / (whole - one)
        lines.append([film.name, f"{expected:.1f}", f"{measured:.1f}", f"{measured / expected:.2f}"])
    return f"`triage backfill` with {cores} decoder processes on this machine:\n\n{table(lines)}"


def _seconds(film: Film, folder: Path, count: int) -> float:
    archive, destination = folder / f"{film.name} {count}", folder / f"{film.name} {count} rows"
    archive.mkdir()
    first = archive / "0.dcm"
    first.write_bytes(film.data)
    for number in range(1, count):
        (archive / f"{number}.dcm").hardlink_to(first)
    return seconds(archive, destination, (), processors())


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def measured_films() -> list[Film]:
    """Return the files that the floor was measured with."""
    return films(BUILD / "films", FULL.height, FULL.width)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core-hour", type=float, default=0.04, help="price of a core for an hour")
    parser.add_argument("--check", action="store_true", help="measure the rates of this machine as well")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of --check, about")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options, page, found = arguments(words), PAGE.read_text(encoding="utf-8"), measured_films()
    print(report(page, {film.name: len(film.data) / 1e6 for film in found}, options))
    if options.check:
        with TemporaryDirectory() as folder:
            print(f"\n{check(page, found, Path(folder), options)}")


if __name__ == "__main__":
    main()
