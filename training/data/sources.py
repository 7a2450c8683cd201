"""Which source a folder of data is, and its canvases through the cache."""

from pathlib import Path

from training.data import chestxray14, folder_dataset
from training.data.cache import Canvases, cached
from training.data.pixel_path import Radiographs
from training.errors import TrainingError


def read(folder: Path, split: str, size: int) -> Radiographs:
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
    if chestxray14.published_table(folder):
        return chestxray14.read(folder, split, size)
    if (folder / folder_dataset.TABLE).is_file():
        return folder_dataset.read(folder, split, size)
    tables = " or ".join(chestxray14.TABLES)
    raise TrainingError(f"{folder}: no {tables} (.gz too) of ChestX-ray14, no {folder_dataset.TABLE} of one's own")


def canvases(folder: Path, split: str, size: int, cache: Path) -> Canvases:
    """One split's canvases, read once.

    Raises
    ------
    TrainingError
        Also where the split has no image.
    """
    source = read(folder, split, size)
    if not len(source):
        raise TrainingError(f"{folder}: no image of split {split}; a column `split` can say which are")
    return cached(source, cache)
