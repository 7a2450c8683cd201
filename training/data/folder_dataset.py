"""A folder of the user's own images with a table of findings.

labels.csv   image,patient[,split][,sex][,age][,view][,collection] and a column for each finding: see `label_columns`
boxes.csv    optional: image,finding,x0,y0,x1,y1, edges as shares of the image's width and height
images/      PNG, JPEG or DICOM, in folders of any depth; `image` is the path from here, or from the folder itself
"""

import csv
import hashlib
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from training.data.label_columns import FINDING, table_labels
from training.data.pixel_path import Radiographs
from training.data.sample import Box, Case, parse_age
from training.errors import TrainingError

TABLE, BOXES = "labels.csv", "boxes.csv"
PARTS = ("train", "val", "test")
SHARES = (0.7, 0.1, 0.2)  # the split of ChestX-ray14 in Wang et al., CVPR 2017
REQUIRED = ("image", "patient")
METADATA = (*REQUIRED, "split", "sex", "age", "view", "collection")
BOX_COLUMNS = ("image", "finding", "x0", "y0", "x1", "y1")


def read(folder: Path, split: str, size: int) -> Radiographs:
    """Open one split.

    Parameters
    ----------
    split
        `train`, `val`, `test` or `train+val`.
    size
        S of the canvases.

    Raises
    ------
    TrainingError
        A table does not fit, images are missing, or a patient is in two splits.
    """
    if split not in (splits := (*PARTS, "train+val")):
        raise TrainingError(f"split {split!r}: expected one of {', '.join(splits)}")
    labels, by_split = read_table(folder)
    cases = [case for part in split.split("+") for case in by_split[part]]
    paths = {case.image: image_path(folder, case.image) for case in cases}
    refuse(folder / TABLE, "image is not in the folder", [name for name, at in paths.items() if not at.is_file()])
    return Radiographs(f"{folder.resolve().name} {split}", tuple(cases), tuple(paths.values()), size, labels)


def split_cases(folder: Path) -> dict[str, list[Case]]:
    """Return the cases of each split, see `read_table`."""
    return read_table(folder)[1]


def read_table(folder: Path) -> tuple[tuple[str, ...], dict[str, list[Case]]]:
    """Return the labels, and the cases of each split in the table's order, without reading images.

    The split is that of the column `split`, or of `assign_split` if there is no such column.

    Raises
    ------
    TrainingError
        A table does not fit, or a patient is in two splits.
    """
    where, rows = folder / TABLE, list(read_rows(folder / TABLE, REQUIRED))
    labels = table_labels(where, rows, METADATA)
    names = Counter(row["image"] for _, row in rows)
    refuse(where, "image has two rows", [name for name, count in names.items() if count > 1])
    refuse(where, "image has no patient", [row["image"] for _, row in rows if not row["patient"]])
    boxes = box_table(folder, names, labels)
    owner: dict[str, str] = {}
    shared, by_split = [], {name: list[Case]() for name in PARTS}
    for place, row in rows:
        part = row["split"].lower() if "split" in row else assign_split(row["patient"])
        if part not in by_split:
            raise TrainingError(f"{place}: split must be one of {', '.join(by_split)}")
        if owner.setdefault(row["patient"], part) != part:
            shared.append(row["image"])
        by_split[part].append(_case(row, labels, boxes.get(row["image"], {}), place))
    refuse(where, "the patient of the image is in another split too", shared)
    return labels, by_split


def assign_split(patient: str) -> str:
    """Return the split of a patient, 70 : 10 : 20, by a hash: the same in every table and on every machine."""
    place = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8]) / 2**64
    return PARTS[bisect(list(accumulate(SHARES[:-1])), place)]


def box_table(folder: Path, images: Container[str], labels: Sequence[str]) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Return image to finding to boxes; empty if there is no such table."""
    where, by_image = folder / BOXES, defaultdict[str, dict[str, tuple[Box, ...]]](dict)
    rows = list(read_rows(where, BOX_COLUMNS)) if where.is_file() else []
    refuse(where, f"image is not in {TABLE}", [row["image"] for _, row in rows if row["image"] not in images])
    for place, row in rows:
        if (finding := row["finding"]) not in labels:
            raise TrainingError(f"{place}: finding must be one of {', '.join(labels)}")
        boxes = by_image[row["image"]]
        boxes[finding] = (*boxes.get(finding, ()), _box(row, place))
    return by_image


def read_rows(file: Path, required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file with their line for messages; values are stripped of blanks.

    Messages do not repeat values: in a table with shifted columns, any value may identify a patient.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:  # spreadsheets write a byte order mark
            reader = csv.reader(text)
            (_, names), *rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"{file}: expected a comma-separated table in UTF-8 with a header row") from error
    if missing := [name for name in required if name not in names]:
        raise TrainingError(f"{file}: no column {missing[0]}")
    if len(set(names)) < len(names):
        raise TrainingError(f"{file}: two columns have the same name")
    for line, row in rows:
        if len(row) != len(names):
            raise TrainingError(f"{file}, line {line}: expected {len(names)} values, got {len(row)}")
        yield f"{file}, line {line}", dict(zip(names, row, strict=True))


def image_path(folder: Path, image: str) -> Path:
    """Return the path of an image, which need not exist."""
    inner = folder / "images" / image
    return inner if inner.is_file() else folder / image


def refuse(file: Path, what: str, images: Sequence[str]) -> None:
    """Raise one error for all images with the fault `what`; none if there are no images."""
    if images:
        raise TrainingError(f"{file}: {what}: {len(images)}, first: {images[0]}")


def _box(row: Mapping[str, str], where: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(row[edge]) for edge in BOX_COLUMNS[2:])
    except ValueError:
        raise TrainingError(f"{where}: x0, y0, x1 and y1 must be numbers") from None
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise TrainingError(f"{where}: expected 0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1, as shares of the image")
    return x0, y0, x1, y1


def _case(row: Mapping[str, str], labels: Sequence[str], boxes: Mapping[str, tuple[Box, ...]], where: str) -> Case:
    for name, values in (("sex", ("F", "M", "O", "")), ("view", ("PA", "AP", ""))):  # O: other, as in DICOM
        if row.get(name, "").upper() not in values:
            raise TrainingError(f"{where}: {name} must be {', '.join(values[:-1])} or blank")
    if (age := parse_age(row.get("age", ""))) is None and row.get("age"):
        raise TrainingError(f"{where}: age must be in years, such as 58 or 058Y, or blank")
    for label in labels:
        if row.get(label, "").lower() not in FINDING:
            raise TrainingError(f"{where}: {label} must be 1, 0, or for unknown blank, u or -1")
    return Case(
        image=row["image"],
        patient=row["patient"],
        findings=tuple(FINDING[row.get(label, "").lower()] for label in labels),
        collection=row.get("collection", ""),
        sex=sex if (sex := row.get("sex", "").upper()) in ("F", "M") else "",
        age=age,
        view=row.get("view", "").upper(),
        boxes=boxes,
    )
