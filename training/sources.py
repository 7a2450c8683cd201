"""Which source a folder of data is, and its canvases through the cache."""

from pathlib import Path

from training import chestxray14
from training.cache import Canvases, cached
from training.sample import Source


def read(folder: Path, split: str, size: int) -> Source:
    """Open one split of a folder, by what lies in it.

    Parameters
    ----------
    split
        `train`, `val`, `test` or `train+val`.
    size
        S of the canvases.

    Raises
    ------
    TrainingError
        The folder is of no known form, or its tables, lists and images do not fit together.
    """
    return chestxray14.read(folder, split, size)


def canvases(folder: Path, split: str, size: int, cache: Path) -> Canvases:
    """One split's canvases, read once."""
    return cached(read(folder, split, size), cache)
