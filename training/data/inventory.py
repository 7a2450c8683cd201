"""Inventory of a folder of data before training: counts by split and finding, and the files that are refused."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.data.pixel_path import Radiographs
from training.data.sample import Case, targets
from training.data.sources import read
from training.errors import TrainingError
from training.progress import progress_bar

SPLITS = ("train", "val", "test")
SIDE = 8  # pixels; the canvases are discarded, so a small size will do


@dataclass(frozen=True)
class Inventory:
    """Labels, the cases of each split, and one line for each refused file: its name and the reason."""

    labels: tuple[str, ...]
    splits: dict[str, Sequence[Case]]
    refused: tuple[str, ...]


def inventory(folder: Path, workers: int) -> Inventory:
    """Read every image of every split.

    Raises
    ------
    TrainingError
        The tables do not fit, or images are missing.
    """
    sources = {split: read(folder, split, SIDE) for split in SPLITS}
    refused = [line for split, source in sources.items() for line in refusals(source, workers, split)]
    splits: dict[str, Sequence[Case]] = {split: source.cases for split, source in sources.items()}
    return Inventory(sources["train"].labels, splits, tuple(refused))


def refusals(source: Radiographs, workers: int, split: str) -> Iterator[str]:
    """Yield a line for each image that cannot be read.

    Threads are enough, as decoding releases the interpreter's lock.
    """

    def refusal(index: int) -> str | None:
        try:
            source[index]
        except TrainingError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool:
        lines = pool.map(refusal, range(len(source)))
        with progress_bar() as progress:
            for line in progress.track(lines, len(source), description=f"reading {split}"):
                if line is not None:
                    yield line


def summary(labels: Sequence[str], splits: dict[str, Sequence[Case]]) -> Iterator[str]:
    """Yield lines to print: images and patients of each split, then counts of present, absent and unknown findings."""
    for split, cases in splits.items():
        yield f"{split}: {len(cases)} images of {len({case.patient for case in cases})} patients"
    yield f"{'present / absent / unknown':28}" + "".join(f"{split:>22}" for split in splits)
    counts = {split: count_findings(cases, len(labels)) for split, cases in splits.items()}
    for column, label in enumerate(labels):
        yield f"{label:28}" + "".join(f"{' / '.join(map(str, counts[split][column])):>22}" for split in splits)


def count_findings(cases: Sequence[Case], labels: int) -> list[tuple[int, int, int]]:
    """Count the cases for which each of the K labels is present, absent and unknown."""
    values = targets(cases).reshape(-1, labels)  # [N, K], also without cases
    sums = [(values == 1).sum(0), (values == 0).sum(0), np.isnan(values).sum(0)]
    return [(int(present), int(absent), int(unknown)) for present, absent, unknown in zip(*sums, strict=True)]
