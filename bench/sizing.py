"""What the hospitals of a region ask of the service, from measured figures: `python -m bench.sizing [--a-day N ...]`.

How many chest radiographs a hospital makes in a day, and the share of them in the busiest hour, are assumptions: count
yours. What a replica of two cores answers is a figure of bench/RESULTS.md, where the clients take part of the same two
cores; what PostgreSQL stores is one of docs/scale.md. A replica gets the load at which the autoscaler adds another.
"""

import argparse
import math
from collections.abc import Mapping, Sequence
from itertools import takewhile

from bench.cost import measured_films
from bench.prevalence import ROOT
from bench.scores import table
from bench.speed.command import PAGE as FIGURES

SCALE = ROOT / "docs" / "scale.md"
HEADING, CLIENTS = "|  | clients | images a second |", "8"
LOAD = 0.7  # deploy/kubernetes/base/scaling.yaml
LEAST = 3  # replicas: one of them may be down while another is replaced; deploy/kubernetes/base/scaling.yaml
ROWS = 3  # that stay for each radiograph: instances, predictions, worklist
YEAR = 365


def answered(page: str) -> dict[str, float]:
    """Return the radiographs a second that the service answers, by transfer syntax."""
    lines = takewhile(lambda line: line.startswith("|"), page[page.index(HEADING) :].splitlines())
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: float(row[2]) for row in rows if row[1] == CLIENTS}


def stored(page: str) -> float:
    """Return the records a second that PostgreSQL stores, with the writers of several replicas."""
    [line] = [line for line in page.splitlines() if line.startswith("| PostgreSQL, 16 |")]
    return float(line.split("|")[2])


def report(
    rates: Mapping[str, float], records: float, megabytes: Mapping[str, float], options: argparse.Namespace
) -> str:
    """Return a table with a column for each number of radiographs that a hospital makes in a day."""
    days = [options.hospitals * count for count in options.a_day]
    peaks = [day * options.busiest_hour / 3600 for day in days]
    plain = megabytes["uncompressed"]
    lines = [
        ["radiographs of a hospital in a day", *map(str, options.a_day)],
        ["radiographs/s in the busiest hour", *(f"{peak:.2f}" for peak in peaks)],
        ["Mbit/s then, uncompressed", *(f"{8 * peak * plain:.0f}" for peak in peaks)],
        ["share of what PostgreSQL stores", *(f"{100 * peak / records:.1f} %" for peak in peaks)],
        *([f"replicas, {syntax}", *(f"{replicas(peak, rate)}" for peak in peaks)] for syntax, rate in rates.items()),
        ["radiographs, millions a year", *(f"{YEAR * day / 1e6:.1f}" for day in days)],
        ["rows of the database, millions a year", *(f"{ROWS * YEAR * day / 1e6:.1f}" for day in days)],
        *(
            [f"DICOM files, TB a year, {syntax}", *(f"{YEAR * day * megabytes[syntax] / 1e6:.0f}" for day in days)]
            for syntax in rates
        ),
    ]
    answers = ", ".join(f"{syntax} {rate:g}" for syntax, rate in rates.items())
    share = f"{100 * options.busiest_hour:.0f} % of a day's radiographs in its busiest hour"
    text = f"A replica of two cores answers {answers} radiographs a second; PostgreSQL stores {records:g}."
    return f"{options.hospitals} hospitals, and {share}. {text}\n\n{table(lines)}"


def replicas(peak: float, rate: float) -> int:
    """Return how many are needed if each is loaded to `LOAD`, one of them fails, and `LEAST` are there at any rate."""
    return max(LEAST, 1 + math.ceil(peak / (LOAD * rate)))


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hospitals", type=int, default=200)
    parser.add_argument("--a-day", type=int, nargs="+", default=[50, 150, 500], help="radiographs of a hospital")
    parser.add_argument("--busiest-hour", type=float, default=0.15, help="share of a day's radiographs")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Print the table."""
    figures, scale = (path.read_text(encoding="utf-8") for path in (FIGURES, SCALE))
    megabytes = {film.name: len(film.data) / 1e6 for film in measured_films()}
    print(report(answered(figures), stored(scale), megabytes, arguments(words)))


if __name__ == "__main__":
    main()
