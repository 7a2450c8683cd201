"""What a folder of data holds, and which of its files the pixel path refuses: to know before training."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from model.labels import LABELS
from training.data.pixel_path import Radiographs
from training.data.sample import Case, targets
from training.data.sources import read
from training.errors import TrainingError

SPLITS = ("train", "val", "test")
SIDE = 8  # pixels: here a canvas only shows that there is one


@dataclass(frozen=True)
class Inventory:
    """Split to its cases, and a line for each file refused: its name and why."""

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
    return Inventory({split: source.cases for split, source in sources.items()}, tuple(refused))


def refusals(source: Radiographs, workers: int, split: str) -> Iterator[str]:
    """A line for each image that cannot be read; threads read, as decoding leaves the interpreter's lock."""

    def refusal(index: int) -> str | None:
        try:
            source[index]
        except TrainingError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool:
        answers = pool.map(refusal, range(len(source)))
        console = Console(stderr=True)
        quiet = not console.is_terminal
        for line in track(answers, f"reading {split}", len(source), console=console, transient=True, disable=quiet):
            if line is not None:
                yield line


def summary(splits: dict[str, Sequence[Case]]) -> Iterator[str]:
    """Lines for a person: images and patients of each split, then of each finding who has it, who not, who knows."""
    for split, cases in splits.items():
        yield f"{split}: {len(cases)} images of {len({case.patient for case in cases})} patients"
    yield f"{'present / absent / unknown':28}" + "".join(f"{split:>22}" for split in splits)
    counts = {split: counted(cases) for split, cases in splits.items()}
    for column, label in enumerate(LABELS):
        yield f"{label:28}" + "".join(f"{' / '.join(map(str, counts[split][column])):>22}" for split in splits)


def counted(cases: Sequence[Case]) -> list[tuple[int, int, int]]:
    """For each label: present, absent, unknown."""
    known = targets(cases).reshape(-1, len(LABELS))  # [N, K], of no cases too
    sums = [(known == 1).sum(0), (known == 0).sum(0), np.isnan(known).sum(0)]
    return [(int(present), int(absent), int(unknown)) for present, absent, unknown in zip(*sums, strict=True)]
