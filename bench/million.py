"""The index of a million radiographs: `python -m bench.million [--images N] [--sets N]`.

Several sets, each with a cache of its own. The pixel files are holes for the file system (sparse), so that neither
hours of decoding nor terabytes are needed; all else is what training does: it reads the indexes, joins the sets, draws
the order of an epoch and a fold, and reads batches at random.
"""

import argparse
import hashlib
import os
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np

from bench.scores import table
from model.labels import LABELS
from training.data.cache import Canvases
from training.data.canvas_file import ENTRY, CanvasFile, open_file
from training.data.order import epoch_order, fold
from training.data.sample import Case
from training.data.union import join, qualify

BATCH = 32
BATCHES = 10
Result = TypeVar("Result")


def write_cache(folder: Path, count: int, size: int, number: int) -> None:
    """Write a cache of `count` canvases whose pixels are holes of the file."""
    file = open_file(folder, size)
    with file.pixels.open("r+b") as pixels:
        os.ftruncate(pixels.fileno(), count * size**2)
    entries = np.empty(count, ENTRY)
    entries["key"] = [key(number, image) for image in range(count)]
    entries["row"] = np.arange(count)
    entries.tofile(file.index)


def key(number: int, image: int) -> bytes:
    """Return the key of an image in the cache."""
    return hashlib.sha256(b"%d %d" % (number, image)).digest()[:16]


def cases(count: int, random: np.random.Generator) -> tuple[Case, ...]:
    """Return metadata as a published table gives it: about three images for a patient."""
    findings = np.where(random.random((count, len(LABELS))) < 0.1, 1.0, 0.0).tolist()
    return tuple(Case(f"{number:08}.png", f"{number // 3}", tuple(row)) for number, row in enumerate(findings))


def loaded(file: CanvasFile, number: int, metadata: tuple[Case, ...]) -> Canvases:
    """Return the canvases of a set, as `cache_canvases` does once all are there."""
    keys = [key(number, image) for image in range(len(metadata))]
    rows = np.array([file.rows[each] for each in keys], np.int64)
    return Canvases(f"set{number}", file.open(), rows, metadata)


def measure(options: argparse.Namespace, folder: Path) -> str:
    """Measure; return a table."""
    count, random = options.images // options.sets, np.random.default_rng(0)
    for number in range(options.sets):
        write_cache(folder / str(number), count, options.size, number)
    lines = [["", "seconds", "memory, MiB"]]

    def timed(name: str, work: Callable[[], Result]) -> Result:
        before, start = _memory(), time.perf_counter()
        result = work()
        lines.append([name, f"{time.perf_counter() - start:.2f}", f"{_memory() - before:.0f}"])
        return result

    metadata = timed("metadata of all images", lambda: [cases(count, random) for _ in range(options.sets)])
    files = timed(
        "indexes of all caches",
        lambda: [open_file(folder / str(number), options.size) for number in range(options.sets)],
    )
    sets = timed(
        "rows of all images", lambda: [loaded(file, number, metadata[number]) for number, file in enumerate(files)]
    )
    both = timed("sets joined", lambda: join([qualify(each, each.name, each.name) for each in sets]))
    timed("targets", lambda: both.targets)
    order = timed("order of an epoch", lambda: epoch_order(both, (0, 0), balance=False))
    timed("order of an epoch, sets balanced", lambda: epoch_order(both, (0, 0), balance=True))
    timed("a fold", lambda: fold(both, 0, 5, 0))
    parts = np.array_split(order, len(order) // BATCH)[:BATCHES]
    timed(
        f"{len(parts)} batches of {BATCH}, first read",
        lambda: [both.stored(part).sum() for part in parts],
    )
    return f"{options.images} images in {options.sets} sets, {options.size} pixels\n\n{table(lines)}"


def _memory() -> float:
    """Return the greatest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--sets", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    return parser.parse_args(words)


if __name__ == "__main__":
    with TemporaryDirectory() as temporary:
        print(measure(arguments(), Path(temporary)))
