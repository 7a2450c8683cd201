"""ChestX-ray14 (Wang et al., CVPR 2017) in its published format: the tables, the split lists, the images.

Data_Entry_2017_v2020.csv   BBox_List_2017.csv      also as .csv.gz
train_list.txt  val_list.txt  test_list.txt         or the published train_val_list.txt  test_list.txt
images/NAME.png                                     or images_001/images … images_012/images; .jpg too
collections.csv                                     optional: Image Index, collection
"""

import csv
import gzip
import hashlib
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from model.labels import LABELS, NO_FINDING
from service.dicom.canvas import canvas, grey_values
from training.errors import TrainingError
from training.sample import Box, Floats, Sample

PUBLISHED_SIZE = 1024  # side of the published PNGs, and the unit of the published boxes
TABLE = "Data_Entry_2017_v2020.csv"
LISTS: Mapping[str, tuple[str, ...]] = {
    "train": ("train_list.txt",),
    "val": ("val_list.txt",),
    "test": ("test_list.txt",),
    "train+val": ("train_list.txt", "val_list.txt"),
}
PUBLISHED_TRAIN_VAL = "train_val_list.txt"
SUFFIXES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Record:
    """One row of the published table.

    Attributes
    ----------
    image
        The published name, `00000061_012.png`.
    findings
        Names as published, without `No Finding`; empty where there is none.
    boxes
        Label to boxes (x0, y0, x1, y1) in [0, 1] of the image, exclusive end.
    collection
        Which part of a composed subset the image is from; empty where `collections.csv` is silent.
    """

    image: str
    findings: tuple[str, ...]
    patient: str
    view: str
    collection: str = ""
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)

    @property
    def target(self) -> Floats:
        """[K] float32 of 0 and 1."""
        return np.array([label in self.findings for label in LABELS], np.float32)


@dataclass(frozen=True)
class ChestXray14(Dataset[Sample]):
    """One split: its rows and where their images lie."""

    name: str
    entries: tuple[Record, ...]
    paths: tuple[Path, ...]
    size: int

    @property
    def key(self) -> str:
        """Digest of the images' names and bytes in size, the canvas size and the resize rule."""
        files = "\n".join(f"{path.name} {path.stat().st_size}" for path in self.paths)
        return hashlib.sha256(f"stretch {self.size}\n{files}".encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> Sample:
        """Read, through the pixel path of the service, one image."""
        row = self.entries[index]
        pixels = canvas(grey_values(self.paths[index]), self.size, "stretch")
        return Sample(row.image, pixels, row.target, row.patient, row.boxes)


def read(folder: Path, split: str, size: int) -> ChestXray14:
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
    rows = {record.image: record for record in records(folder)}
    refuse_shared_patients(folder, rows)
    names = listed(folder, split)
    refuse_missing(names, rows, f"{split} list", TABLE)
    where = image_paths(folder)
    refuse_missing(names, {name for name in names if Path(name).stem in where}, f"{split} list", "image folders")
    paths = tuple(where[Path(name).stem] for name in names)
    return ChestXray14(f"{folder.name} {split}", tuple(rows[name] for name in names), paths, size)


def records(folder: Path) -> list[Record]:
    """Every row of the published table, with boxes and collections where the folder has them."""
    boxes = box_table(folder)
    collections = {row["Image Index"]: row["collection"] for row in table(folder, "collections.csv")}
    rows = [
        Record(
            image=row["Image Index"],
            findings=findings(row["Finding Labels"]),
            patient=row["Patient ID"],
            view=row["View Position"],
            collection=collections.get(row["Image Index"], ""),
            boxes=boxes.get(row["Image Index"], {}),
        )
        for row in table(folder, TABLE)
    ]
    if not rows:
        raise TrainingError(f"{folder}: no {TABLE} (or .gz), or it is empty")
    return rows


def findings(published: str) -> tuple[str, ...]:
    """Split `Effusion|Mass`; an unknown name is refused, a misspelt label would train as absent."""
    names = tuple(name for name in published.split("|") if name != NO_FINDING)
    if unknown := set(names) - set(LABELS):
        raise TrainingError(f"{TABLE}: unknown finding {sorted(unknown)[0]!r}")
    return names


def box_table(folder: Path) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Image to label to boxes, from the published x, y, w, h in pixels of 1024."""
    found: dict[str, dict[str, tuple[Box, ...]]] = defaultdict(dict)
    for row in table(folder, "BBox_List_2017.csv", header=False):
        name, label, *numbers = row.values()
        x, y, w, h = (float(number) / PUBLISHED_SIZE for number in numbers[:4])
        label = "Infiltration" if label == "Infiltrate" else label  # the box table's own spelling
        box = (x, y, min(x + w, 1.0), min(y + h, 1.0))
        found[name][label] = (*found[name].get(label, ()), box)
    return found


def listed(folder: Path, split: str) -> list[str]:
    """Names of one split, in the list's order."""
    if split not in LISTS:
        raise TrainingError(f"split {split!r}: wanted one of {', '.join(LISTS)}")
    files = [find(folder, name) for name in LISTS[split]]
    if split == "train+val" and None in files:
        files = [find(folder, PUBLISHED_TRAIN_VAL)]
    if None in files:
        raise TrainingError(f"{folder}: no {' and '.join(LISTS[split])}")
    return [line.split()[0] for file in files if file for line in lines(file) if line.strip()]


def image_paths(folder: Path) -> dict[str, Path]:
    """Stem to path, over `images/` and the published `images_001/images` … ."""
    folders = [folder / "images", *sorted(folder.glob("images_*/images")), *sorted(folder.glob("images_*"))]
    return {
        path.stem: path
        for place in folders
        if place.is_dir()
        for path in place.iterdir()
        if path.suffix.lower() in SUFFIXES
    }


def refuse_missing(names: list[str], known: Container[str], what: str, where: str) -> None:
    """Raise one error for all the names that are not known."""
    if missing := [name for name in names if name not in known]:
        raise TrainingError(
            f"{len(missing)} of {len(names)} images of the {what} are not in the {where}, first: {missing[0]}"
        )


def refuse_shared_patients(folder: Path, rows: Mapping[str, Record]) -> None:
    """Raise if a patient stands in two of the folder's lists."""
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
    """Rows of a CSV table, plain or .gz; none where there is no such file.

    Without `header` the columns are numbered: the published box table has a comma inside one column's name.
    """
    if (file := find(folder, name)) is None:
        return
    reader = csv.reader(lines(file))
    names = next(reader, [])
    for row in reader:
        yield dict(zip(names if header else map(str, range(len(row))), row, strict=False))


def find(folder: Path, name: str) -> Path | None:
    """The file, or its .gz, or None."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lines(file: Path) -> Iterator[str]:
    """Lines of a text file, plain or .gz."""
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as text:
        yield from text
