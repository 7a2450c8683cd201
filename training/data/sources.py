"""Folders of data in any known format, and their canvases through the cache."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from training.data import chestxray14, chexpert, folder_dataset, mimic_cxr, padchest, vindr_cxr
from training.data.cache import Canvases, cache_canvases
from training.data.chexpert import Uncertain
from training.data.pixel_path import Radiographs
from training.data.published import PARTS
from training.data.relabel import relabel
from training.data.union import join, qualify, union
from training.errors import TrainingError

Format = Literal["ChestX-ray14", "CheXpert", "MIMIC-CXR-JPG", "PadChest", "VinDr-CXR", "labels.csv"]

SIDE = 8  # pixels, where no image is read


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


def canvases(folder: Path, split: str, size: int, cache: Path, uncertain: Uncertain = "ignore") -> Canvases:
    """Return the canvases of one split, which are read only once.

    Raises
    ------
    TrainingError
        The folder does not fit (see `read`), or the split has no image.
    """
    source = read(folder, split, size, uncertain)
    if not len(source):
        raise TrainingError(f"{folder}: no image in split {split}; the column `split` assigns images to splits")
    return cache_canvases(source, cache_of(folder, cache))


def cache_of(folder: Path, cache: Path) -> Path:
    """Return the folder of the canvases of one set, so that sets are packed, copied and deleted one by one."""
    return cache / folder.resolve().name


def pack(folder: Path, size: int, cache: Path, workers: int | None = None) -> int:
    """Read every image of a folder that is not in the cache yet, for all its splits; return their number.

    Raises
    ------
    TrainingError
        The folder does not fit (see `read`), or an image cannot be read.
    """
    sources = [read(folder, split, size) for split in PARTS]
    return sum(len(cache_canvases(source, cache_of(folder, cache), workers)) for source in sources if len(source))


def joined_canvases(
    folders: Sequence[Path], split: str, size: int, cache: Path, uncertain: Uncertain = "ignore"
) -> Canvases:
    """Return the canvases of one split of several folders; those of a single folder are as `canvases` returns them.

    The labels are those of all folders, and unknown where a folder has no such label. Images are named after their
    folder, patients after their data set or, in a folder of the user's own, after the folder.

    Raises
    ------
    TrainingError
        A folder does not fit (see `read`), two have the same name, none has an image in this split, or a patient is in
        different splits of two folders.
    """
    if len(folders) == 1:
        return canvases(folders[0], split, size, cache, uncertain)
    refuse_equal_names(folders)
    refuse_shared_patients(folders)
    sources = {folder: read(folder, split, size, uncertain) for folder in folders}
    labels = union(source.labels for source in sources.values())
    parts = []
    for folder, source in sources.items():
        if len(source):
            images = cache_canvases(source, cache_of(folder, cache))
            parts.append(relabel(qualify(images, folder.resolve().name, population(folder)), labels))
    if not parts:
        raise TrainingError(f"{', '.join(map(str, folders))}: no image in split {split}")
    return join(parts)


def joined_labels(folders: Sequence[Path]) -> tuple[str, ...]:
    """Return the labels of `joined_canvases`, without reading an image."""
    label_sets = [read(folder, "train", SIDE).labels for folder in folders]
    return union(label_sets) if len(label_sets) > 1 else label_sets[0]


def population(folder: Path) -> str:
    """Return the name of the set in which patients have one identifier: the data set, or the user's own folder."""
    kind = format_of(folder)
    return folder.resolve().name if kind == "labels.csv" else kind


def patients(folders: Iterable[Path], split: str) -> set[str]:
    """Return the patients of one split of each folder, both as in the folder and as `joined_canvases` names them."""
    return {
        name
        for folder in folders
        for case in read(folder, split, SIDE).cases
        for name in (case.patient, f"{population(folder)}/{case.patient}")
    }


def image_names(folder: Path, image: str) -> set[str]:
    """Return the names that an image may have: its own, and the one that `joined_canvases` gives."""
    return {image, f"{folder.resolve().name}/{image}"}


def refuse_equal_names(folders: Sequence[Path]) -> None:
    """Raise if two folders have the same name, as images are named after their folder."""
    names = [folder.resolve().name for folder in folders]
    if twice := [name for name in names if names.count(name) > 1]:
        raise TrainingError(f"--data: two folders are named {twice[0]}; rename one, as images are named after it")


def refuse_shared_patients(folders: Sequence[Path]) -> None:
    """Raise if a patient is in different splits of two folders of the same data set."""
    owner: dict[str, tuple[str, Path]] = {}
    names = {folder: population(folder) for folder in folders}
    for folder, name in names.items():
        if list(names.values()).count(name) == 1:
            continue
        for split in PARTS:
            here = {f"{name}/{case.patient}" for case in read(folder, split, SIDE).cases}
            if shared := [patient for patient in here if patient in owner and owner[patient][0] != split]:
                other, where = owner[shared[0]]
                raise TrainingError(f"{folder}: {len(shared)} patients of {split} are in {other} of {where}")
            owner |= dict.fromkeys(here, (split, folder))
