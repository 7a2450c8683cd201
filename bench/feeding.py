"""Whether the mapped cache feeds GPUs: `python -m bench.feeding [--images N] [--canvas S]`.

Images a second of the loader from a cache of noise: from memory in this process and in loader processes, and from the
disk with the file thrown out of memory, in the order of an epoch, which is random, and in that of the file, as shards
would be read. Beside it stands what a GPU takes, which docs/training.md has computed, as none was measured: the most of
all recipes and stages, which is an upper bound.
"""

import argparse
import math
import os
import platform
import re
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.hours import PAGE
from bench.loader import count
from bench.million import key
from bench.scores import table
from model.labels import LABELS
from training.data.cache import Canvases
from training.data.canvas_file import fill, open_file
from training.data.loader import load
from training.data.order import Indices, epoch_order
from training.data.processors import processors
from training.data.sample import Case, Floats
from training.data.transforms import Augmentation

BATCH = 32


def write_cache(folder: Path, images: int, size: int) -> Canvases:
    """Write canvases of noise into a cache."""
    file, keys = open_file(folder, size), [key(0, number) for number in range(images)]

    def noise(place: int) -> Floats:
        return np.random.default_rng(place).random((1, size, size), np.float32)

    fill(file, keys, noise, processors())
    cases = tuple(Case(f"{number}", f"{number}", (0.0,) * len(LABELS)) for number in range(images))
    return Canvases("noise", file.open(), np.array([file.rows[each] for each in keys], np.int64), cases)


def rate(canvases: Canvases, order: Indices, workers: int) -> float:
    """Return the images a second of one pass in an order, after the first batch, for which processes start."""
    places = np.arange(len(order))
    cuts = range(BATCH, len(order), BATCH)
    batches = list(zip(np.split(places, cuts), np.split(order, cuts), strict=True))
    loaded = load(canvases, batches, (0,), Augmentation(), workers)
    next(loaded)
    start = time.perf_counter()
    return count(loaded) / (time.perf_counter() - start)


def throw_out(path: Path) -> None:
    """Make the system forget the pages of a file, which must be on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def needs(page: str) -> dict[str, float]:
    """Return the greatest images a second of each GPU of the page's table of hours."""
    lines = page[page.index("| recipe | backbone | stage |") :].splitlines()
    names = [cell.strip() for cell in lines[0].strip("|").split("|")][3:]
    table_rows = takewhile(lambda line: line.startswith("|"), lines[2:])
    rows = [[float(each.replace(",", "")) for each in re.findall(r"([\d,]+) images/s", line)] for line in table_rows]
    columns = zip(*rows, strict=True)
    return {name.removesuffix(", at least"): max(column) for name, column in zip(names, columns, strict=True)}


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Measure; return two tables."""
    canvases = write_cache(folder, options.images, options.canvas)
    path, megabytes = open_file(folder, options.canvas).pixels, options.canvas**2 / 1e6
    random, in_file = epoch_order(canvases, (0, 0), balance=False), np.arange(len(canvases))
    most = processors()
    rate(canvases, random, 0)
    rates = {"from memory, no loader process": rate(canvases, random, 0)}
    for workers in range(1, most + 1):
        rates[f"from memory, loader processes: {workers}"] = rate(canvases, random, workers)
    one = rates["from memory, loader processes: 1"]
    for name, order in (("random order", random), ("the order of the file", in_file)):
        throw_out(path)
        rates[f"from the disk, in {name}, loader processes: {most}"] = rate(canvases, order, most)
    measured = [[name, f"{speed:,.0f}", f"{speed * megabytes:,.0f}"] for name, speed in rates.items()]
    wanted = [
        [name, f"{need:,.0f}", f"{need * megabytes:,.0f}", f"{math.ceil(need / one)}"]
        for name, need in needs(PAGE.read_text(encoding="utf-8")).items()
    ]
    return f"""{most} processors, {platform.machine()}; {options.images} canvases of {options.canvas} pixels

{table([["loader", "images/s", "MB/s"], *measured])}

{table([["a GPU takes at most", "images/s", "MB/s", "loader processes for it"], *wanted])}"""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--canvas", type=int, default=896)
    return parser.parse_args(words)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(measure(arguments(), Path(temporary)))
