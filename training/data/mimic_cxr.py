"""MIMIC-CXR-JPG (Johnson et al., 2019), versions 2.0.0 and 2.1.0 as published on PhysioNet.

mimic-cxr-2.0.0-chexpert.csv    labels of each study, as in CheXpert      each table also as .csv.gz
mimic-cxr-2.0.0-metadata.csv    dicom_id, subject_id, study_id, ViewPosition …
mimic-cxr-2.0.0-split.csv       train, validate, test
files/p10/p10000032/s50414267/DICOM_ID.jpg

Only PA and AP images are read. Sex and age are not part of this data set.
"""

from collections.abc import Mapping
from math import nan
from pathlib import Path

from training.data.chexpert import LABELS, OBSERVATIONS, Uncertain, findings
from training.data.pixel_path import Radiographs
from training.data.published import Entry, choose, find, radiographs, table
from training.data.sample import Case
from training.errors import TrainingError

STUDIES, METADATA, SPLIT = (f"mimic-cxr-2.0.0-{name}.csv" for name in ("chexpert", "metadata", "split"))
FRONTAL = ("PA", "AP")
PARTS = {"train": "train", "validate": "val", "test": "test"}
UNKNOWN = (nan,) * len(LABELS)  # a few studies have no row in the table of labels


def is_here(folder: Path) -> bool:
    """Return whether the folder has the tables of MIMIC-CXR-JPG."""
    return find(folder, STUDIES) is not None


def read(folder: Path, split: str, size: int, uncertain: Uncertain = "ignore") -> Radiographs:
    """Open the frontal images of one split: `train`, `val`, `test` or `train+val`.

    Raises
    ------
    TrainingError
        A table does not fit, images are missing, or a patient is in two splits.
    """
    return radiographs(folder, split, choose(folder, split, entries_by_split(folder, uncertain)), LABELS, size)


def entries_by_split(folder: Path, uncertain: Uncertain) -> dict[str, list[Entry]]:
    """Return the frontal images of each split, in the order of the metadata."""
    labelled = {
        row["study_id"]: findings(row, uncertain, where)
        for where, row in table(folder, STUDIES, ("study_id", *OBSERVATIONS))
    }
    part_of = {row["dicom_id"]: row["split"] for _, row in table(folder, SPLIT, ("dicom_id", "split"))}
    parts: dict[str, list[Entry]] = {part: [] for part in PARTS.values()}
    for where, row in table(folder, METADATA, ("dicom_id", "subject_id", "study_id", "ViewPosition")):
        if row["ViewPosition"] not in FRONTAL:
            continue
        if (published := part_of.get(row["dicom_id"], "")) not in PARTS:
            raise TrainingError(f"{where}: the image must be in {SPLIT} as {', '.join(PARTS)}")
        case = Case(
            image=image_path(row),
            patient=row["subject_id"],
            findings=labelled.get(row["study_id"], UNKNOWN),
            view=row["ViewPosition"],
        )
        parts[PARTS[published]].append((case, folder / case.image))
    return parts


def image_path(row: Mapping[str, str]) -> str:
    """Return the path of an image in the folder."""
    subject = f"p{row['subject_id']}"
    return f"files/{subject[:3]}/{subject}/s{row['study_id']}/{row['dicom_id']}.jpg"
