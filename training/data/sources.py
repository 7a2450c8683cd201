"""Folders of data in any known format, and their canvases through the cache."""

from pathlib import Path

from training.data import chestxray14, folder_dataset
from training.data.cache import Canvases, cache_canvases
from training.data.pixel_path import Radiographs
from training.errors import TrainingError


def read(folder: Path, split: str, size: int) -> Radiographs:
    """Open one split of a folder; its tables show which format it has.

    Parameters
    ----------
    split
        `train`, `val`, `test` or `train+val`.
    size
        Side S of the canvases, in pixels.

    Raises
    ------
    TrainingError
        The format is unknown, or tables, lists and images do not fit together.
    """
    if chestxray14.published_table(folder):
        return chestxray14.read(folder, split, size)
    if (folder / folder_dataset.TABLE).is_file():
        return folder_dataset.read(folder, split, size)
    tables = " or ".join(chestxray14.TABLES)
    raise TrainingError(f"{folder}: no {tables} (or .gz) of ChestX-ray14, and no {folder_dataset.TABLE}")


def canvases(folder: Path, split: str, size: int, cache: Path) -> Canvases:
    """Return the canvases of one split, which are read only once.

    Raises
    ------
    TrainingError
        The folder does not fit (see `read`), or the split has no image.
    """
    source = read(folder, split, size)
    if not len(source):
        raise TrainingError(f"{folder}: no image in split {split}; the column `split` assigns images to splits")
    return cache_canvases(source, cache)
