"""ChestX-ray14 (Wang et al., CVPR 2017) in its published format: the tables, the split lists, the images.

Data_Entry_2017_v2020.csv   BBox_List_2017.csv      also as .csv.gz; or the first table, Data_Entry_2017.csv
train_list.txt  val_list.txt  test_list.txt         or the published train_val_list.txt  test_list.txt; one in eight
                                                    patients of the former is then used for validation
images/NAME.png                                     or images_001/images … images_012/images; .jpg too
collections.csv                                     optional: Image Index, collection
"""

import csv
import hashlib
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from functools import cache
from pathlib import Path

from model.labels import LABELS, NO_FINDING
from training.data.pixel_path import PICTURES, Radiographs
from training.data.published import find, lines
from training.data.sample import Box, Case, parse_age
from training.errors import TrainingError

PUBLISHED_SIZE = 1024  # side of the published PNGs, and the unit of the published boxes
TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")  # the current table, and the first one, of 2017
LISTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train_list.txt",),
    "val": ("val_list.txt",),
    "test": ("test_list.txt",),
    "train+val": ("train_list.txt", "val_list.txt"),
}
PUBLISHED_TRAIN_VAL = "train_val_list.txt"
BOXES, COLLECTIONS = "BBox_List_2017.csv", "collections.csv"
ENTRY = ("Image Index", "Finding Labels", "Patient ID", "Patient Gender", "Patient Age", "View Position")
# Columns that are read from each table
COLUMNS = {**dict.fromkeys(TABLES, ENTRY), BOXES: tuple("012345"), COLLECTIONS: ("Image Index", "collection")}


def read(folder: Path, split: str, size: int) -> Radiographs:
    """Open one split of a folder in the published format.

    Parameters
    ----------
    split
        `train`, `val`, `test` or `train+val`.
    size
        S of the canvases.

    Raises
    ------
    TrainingError
        A table or list is missing or broken, listed images are missing, or a patient is in two splits.
    """
    cases = split_cases(folder, split)
    paths, names = image_paths(folder), [case.image for case in cases]
    refuse_missing(names, {name for name in names if Path(name).stem in paths}, f"{split} list", "image folders")
    return Radiographs(
        f"{folder.resolve().name} {split}", tuple(cases), tuple(paths[Path(name).stem] for name in names), size
    )


def split_cases(folder: Path, split: str) -> list[Case]:
    """Read the cases of one split in the list's order, without the images.

    Raises
    ------
    TrainingError
        A table or list is missing or broken, or a patient is in two splits.
    """
    rows = {case.image: case for case in records(folder)}
    refuse_shared_patients(folder, rows)
    names = names_in_list(folder, split)
    refuse_missing(names, rows, f"{split} list", "published table")
    cases = [rows[name] for name in names]
    if split in ("train", "val") and not has_validation(folder):
        return [case for case in cases if is_validation(case.patient) == (split == "val")]
    return cases


def records(folder: Path) -> list[Case]:
    """Read every row of the published table, with boxes and collections if the folder has them."""
    boxes = box_table(folder)
    collections = {row["Image Index"]: row["collection"] for row in table(folder, COLLECTIONS)}
    rows = [
        Case(
            image=row["Image Index"],
            patient=row["Patient ID"],
            findings=findings(row["Finding Labels"]),
            collection=collections.get(row["Image Index"], ""),
            sex=row["Patient Gender"],
            age=parse_age(row["Patient Age"]),
            view=row["View Position"],
            boxes=boxes.get(row["Image Index"], {}),
        )
        for row in table(folder, published_table(folder) or TABLES[0])
    ]
    if not rows:
        raise TrainingError(f"{folder}: no {TABLES[0]} (or .gz), or it is empty")
    return rows


def published_table(folder: Path) -> str | None:
    """Return the name of the table in the folder, preferably the current one; None if there is none."""
    return next((name for name in TABLES if find(folder, name)), None)


@cache  # the 112,120 rows contain only a few hundred combinations
def findings(published: str) -> tuple[float, ...]:
    """Return 0 or 1 for each label, from `Effusion|Mass`.

    Raises
    ------
    TrainingError
        A name is unknown; a misspelt finding must not be trained as absent.
    """
    names = set(published.split("|")) - {NO_FINDING}
    if unknown := names - set(LABELS):
        raise TrainingError(f"published table: unknown finding {min(unknown)!r}")
    return tuple(float(label in names) for label in LABELS)


def box_table(folder: Path) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Return image to label to boxes, from the published x, y, w, h in pixels of 1024."""
    boxes: dict[str, dict[str, tuple[Box, ...]]] = defaultdict(dict)
    for row in table(folder, BOXES, header=False):
        name, label, *numbers = row.values()
        try:
            x, y, w, h = (float(number) / PUBLISHED_SIZE for number in numbers[:4])
        except ValueError as error:
            raise TrainingError(f"{folder / BOXES}: a box of {name} has an edge that is not a number") from error
        label = "Infiltration" if label == "Infiltrate" else label  # the box table's own spelling
        box = (x, y, min(x + w, 1.0), min(y + h, 1.0))
        boxes[name][label] = (*boxes[name].get(label, ()), box)
    return boxes


def names_in_list(folder: Path, split: str) -> list[str]:
    """Return the image names of one split, in the list's order.

    A folder that has only some of the separate lists, such as one for training alone, has no image in the other splits.
    """
    if split not in LISTS:
        raise TrainingError(f"split {split!r}: expected one of {', '.join(LISTS)}")
    separate = has_validation(folder)
    of_both = split != "test" and not separate
    names = (PUBLISHED_TRAIN_VAL,) if of_both else LISTS[split]
    files = [find(folder, name) for name in names]
    if None in files and not separate:
        raise TrainingError(f"{folder}: no {' and '.join(LISTS[split])}" + f", nor {PUBLISHED_TRAIN_VAL}" * of_both)
    return [line.split()[0] for file in files if file for line in lines(file) if line.strip()]


def has_validation(folder: Path) -> bool:
    """Return whether there are separate lists for training and validation; the published lists have none."""
    return find(folder, "train_list.txt") is not None or find(folder, "val_list.txt") is not None


def is_validation(patient: str) -> bool:
    """Return whether a patient of the published train + val list is used for validation: one in eight, by a hash.

    The paper's 70 % for training and 10 % for validation have this ratio of 7 : 1.
    """
    return hashlib.sha256(patient.encode()).digest()[0] < 256 // 8


def image_paths(folder: Path) -> dict[str, Path]:
    """Return stem to path of every picture in `images/` and the published `images_001/images` … ."""
    folders = [folder / "images", *sorted(folder.glob("images_*/images")), *sorted(folder.glob("images_*"))]
    return {
        path.stem: path
        for place in folders
        if place.is_dir()
        for path in place.iterdir()
        if path.suffix.lower() in PICTURES
    }


def refuse_missing(names: list[str], known: Container[str], what: str, where: str) -> None:
    """Raise one error for all names that are not known."""
    if missing := [name for name in names if name not in known]:
        raise TrainingError(
            f"{len(missing)} of {len(names)} images of the {what} are not in the {where}, first: {missing[0]}"
        )


def refuse_shared_patients(folder: Path, rows: Mapping[str, Case]) -> None:
    """Raise if a patient is in two of the folder's lists."""
    owner: dict[str, str] = {}
    for name in ("train_list.txt", "val_list.txt", PUBLISHED_TRAIN_VAL, "test_list.txt"):
        file = find(folder, name)
        if file is None or (name == PUBLISHED_TRAIN_VAL and "train_list.txt" in owner.values()):
            continue
        images = [line.split()[0] for line in lines(file) if line.strip()]
        patients = {rows[image].patient for image in images if image in rows}
        if shared := [patient for patient in patients if patient in owner]:
            raise TrainingError(f"{folder}: {len(shared)} patients of {name} are in {owner[shared[0]]} too")
        owner |= dict.fromkeys(patients, name)


def table(folder: Path, name: str, header: bool = True) -> Iterator[dict[str, str]]:
    """Yield the rows of a CSV table, plain or .gz; none if there is no such file.

    Without `header` the columns are numbered, as a column name of the published box table contains a comma.

    Raises
    ------
    TrainingError
        A column that is read is missing in a row.
    """
    if (file := find(folder, name)) is None:
        return
    reader = csv.reader(lines(file))
    names = next(reader, [])
    for row in filter(any, reader):
        cells = dict(zip(names if header else map(str, range(len(row))), row, strict=False))
        if missing := [column for column in COLUMNS[name] if column not in cells]:
            raise TrainingError(f"{file}, line {reader.line_num}: no value in column {missing[0]}")
        yield cells
