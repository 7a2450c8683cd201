"""Images of one's own: a folder with a table of findings, through the pixel path that serves.

labels.csv   image,patient[,split][,sex][,age][,view][,collection] and a column for each finding that is known of
boxes.csv    optional: image,finding,x0,y0,x1,y1, edges as shares of the image's width and height
images/      PNG, JPEG or DICOM, in folders of any depth; `image` is the path from here, or from the folder itself
"""

import csv
import hashlib
from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import accumulate
from math import nan
from pathlib import Path

from model.labels import LABELS
from training.data.pixel_path import Radiographs
from training.data.sample import Box, Case, years
from training.errors import TrainingError

TABLE, BOXES = "labels.csv", "boxes.csv"
PARTS = ("train", "val", "test")
SHARES = (0.7, 0.1, 0.2)  # as Wang et al., CVPR 2017, cut ChestX-ray14
REQUIRED = ("image", "patient")
KNOWN = (*REQUIRED, "split", "sex", "age", "view", "collection", *LABELS)
BOX_COLUMNS = ("image", "finding", "x0", "y0", "x1", "y1")
FINDING = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0} | dict.fromkeys(
    ("", "-1", "-1.0", "u"), nan
)  # u and -1: CheXpert


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
    if split not in (wanted := (*PARTS, "train+val")):
        raise TrainingError(f"split {split!r}: wanted one of {', '.join(wanted)}")
    found = split_cases(folder)
    cases = [case for part in split.split("+") for case in found[part]]
    paths = {case.image: path(folder, case.image) for case in cases}
    refuse(folder / TABLE, "image is not in the folder", [name for name, at in paths.items() if not at.is_file()])
    return Radiographs(f"{folder.resolve().name} {split}", tuple(cases), tuple(paths.values()), size)


def split_cases(folder: Path) -> dict[str, list[Case]]:
    """Split to cases, in the table's order, by the column `split` or else by `deal`; no image is looked at."""
    where, rows = folder / TABLE, list(table(folder / TABLE, KNOWN, REQUIRED))
    names = Counter(row["image"] for _, row in rows)
    refuse(where, "image stands in two rows", [name for name, count in names.items() if count > 1])
    refuse(where, "image has no patient", [row["image"] for _, row in rows if not row["patient"]])
    boxes = box_table(folder, names)
    owner: dict[str, str] = {}
    shared, found = [], {name: list[Case]() for name in PARTS}
    for place, row in rows:
        part = row["split"].lower() if "split" in row else deal(row["patient"])
        if part not in found:
            raise TrainingError(f"{place}: split must be one of {', '.join(found)}")
        if owner.setdefault(row["patient"], part) != part:
            shared.append(row["image"])
        found[part].append(_case(row, boxes.get(row["image"], {}), place))
    refuse(where, "image is of a patient who is in another split too", shared)
    return found


def deal(patient: str) -> str:
    """A split for a patient, 70 : 10 : 20, by a hash: the same in every table and on every machine."""
    place = int.from_bytes(hashlib.sha256(patient.encode()).digest()[:8]) / 2**64
    return PARTS[bisect(list(accumulate(SHARES[:-1])), place)]


def box_table(folder: Path, images: Container[str]) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Image to finding to boxes; none where there is no such table."""
    where, found = folder / BOXES, defaultdict[str, dict[str, tuple[Box, ...]]](dict)
    rows = list(table(where, BOX_COLUMNS, BOX_COLUMNS)) if where.is_file() else []
    refuse(where, f"image is not in {TABLE}", [row["image"] for _, row in rows if row["image"] not in images])
    for place, row in rows:
        if (finding := row["finding"]) not in LABELS:
            raise TrainingError(f"{place}: finding must be one of {', '.join(LABELS)}")
        boxes = found[row["image"]]
        boxes[finding] = (*boxes.get(finding, ()), _box(row, place))
    return found


def table(file: Path, known: Sequence[str], required: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file, each with its place for messages, values without the blanks around them.

    No message repeats a value: in a table that is a column off, any of them may say who a patient is.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:  # spreadsheets begin a file with a mark
            reader = csv.reader(text)
            (_, names), *rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except (OSError, ValueError, csv.Error) as error:
        raise TrainingError(f"{file}: wanted a table in UTF-8 with commas, and a row of names first") from error
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise TrainingError(f"{file}: unknown column {name!r}, {near[0] if near else ', '.join(known)} is known")
    if missing := [name for name in required if name not in names]:
        raise TrainingError(f"{file}: no column {missing[0]}")
    if len(set(names)) < len(names):
        raise TrainingError(f"{file}: a column stands twice")
    for line, row in rows:
        if len(row) != len(names):
            raise TrainingError(f"{file}, line {line}: wanted {len(names)} values, got {len(row)}")
        yield f"{file}, line {line}", dict(zip(names, row, strict=True))


def path(folder: Path, image: str) -> Path:
    """Where an image lies, or would."""
    inner = folder / "images" / image
    return inner if inner.is_file() else folder / image


def refuse(file: Path, what: str, images: Sequence[str]) -> None:
    """Raise one error for all the images of which something is wrong."""
    if images:
        raise TrainingError(f"{file}: {what}: {len(images)}, first: {images[0]}")


def _box(row: Mapping[str, str], where: str) -> Box:
    try:
        x0, y0, x1, y1 = (float(row[edge]) for edge in BOX_COLUMNS[2:])
    except ValueError:
        raise TrainingError(f"{where}: x0, y0, x1 and y1 must be numbers") from None
    if not (0 <= x0 < x1 <= 1 and 0 <= y0 < y1 <= 1):
        raise TrainingError(f"{where}: wanted 0 <= x0 < x1 <= 1 and the same of y, as shares of the image")
    return x0, y0, x1, y1


def _case(row: Mapping[str, str], boxes: Mapping[str, tuple[Box, ...]], where: str) -> Case:
    for name, wanted in (("sex", ("F", "M", "O", "")), ("view", ("PA", "AP", ""))):  # O: as DICOM has it
        if row.get(name, "").upper() not in wanted:
            raise TrainingError(f"{where}: {name} must be {', '.join(wanted[:-1])} or blank")
    if (age := years(row.get("age", ""))) is None and row.get("age"):
        raise TrainingError(f"{where}: age must be in years, such as 58 or 058Y, or blank")
    for label in LABELS:
        if row.get(label, "").lower() not in FINDING:
            raise TrainingError(f"{where}: {label} must be 1, 0, or blank, u or -1 where it is not known")
    return Case(
        image=row["image"],
        patient=row["patient"],
        findings=tuple(FINDING[row.get(label, "").lower()] for label in LABELS),
        collection=row.get("collection", ""),
        sex=sex if (sex := row.get("sex", "").upper()) in ("F", "M") else "",
        age=age,
        view=row.get("view", "").upper(),
        boxes=boxes,
    )
