"""Folders of data in any known format, and their canvases through the cache."""

from pathlib import Path
from typing import Literal

from training.data import chestxray14, chexpert, folder_dataset, mimic_cxr, padchest, vindr_cxr
from training.data.cache import Canvases, cache_canvases
from training.data.chexpert import Uncertain
from training.data.pixel_path import Radiographs
from training.errors import TrainingError

Format = Literal["ChestX-ray14", "CheXpert", "MIMIC-CXR-JPG", "PadChest", "VinDr-CXR", "labels.csv"]


def format_of(folder: Path) -> Format:
    """Return the format of a folder, which its tables show.

    Raises
    ------
    TrainingError
        The format is unknown.
    """
    if chestxray14.published_table(folder):
        return "ChestX-ray14"
    if mimic_cxr.is_here(folder):
        return "MIMIC-CXR-JPG"
    if padchest.is_here(folder):
        return "PadChest"
    if vindr_cxr.is_here(folder):
        return "VinDr-CXR"
    if chexpert.is_here(folder):
        return "CheXpert"
    if (folder / folder_dataset.TABLE).is_file():
        return "labels.csv"
    tables = {
        "ChestX-ray14": " or ".join(chestxray14.TABLES),
        "CheXpert": chexpert.TRAIN,
        "MIMIC-CXR-JPG": mimic_cxr.STUDIES,
        "PadChest": padchest.TABLE,
        "VinDr-CXR": f"{vindr_cxr.FOLDER}/{vindr_cxr.TRAIN}",
    }
    published = ", ".join(f"{table} (or .gz) of {name}" for name, table in tables.items())
    raise TrainingError(f"{folder}: no {published}, and no {folder_dataset.TABLE}")


def read(folder: Path, split: str, size: int, uncertain: Uncertain = "ignore") -> Radiographs:
    """Open one split of a folder in any known format.

    Parameters
    ----------
    split
        `train`, `val`, `test` or `train+val`.
    size
        Side S of the canvases, in pixels.
    uncertain
        Value of uncertain labels of CheXpert and MIMIC-CXR-JPG: present, absent or unknown.

    Raises
    ------
    TrainingError
        The format is unknown, or tables, lists and images do not fit together.
    """
    match format_of(folder):
        case "ChestX-ray14":
            return chestxray14.read(folder, split, size)
        case "CheXpert":
            return chexpert.read(folder, split, size, uncertain)
        case "MIMIC-CXR-JPG":
            return mimic_cxr.read(folder, split, size, uncertain)
        case "PadChest":
            return padchest.read(folder, split, size)
        case "VinDr-CXR":
            return vindr_cxr.read(folder, split, size)
        case "labels.csv":
            return folder_dataset.read(folder, split, size)


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
