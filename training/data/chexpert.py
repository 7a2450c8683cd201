"""CheXpert (Irvin et al., AAAI 2019) as published: full size and -small.

train.csv  valid.csv                Path, Sex, Age, Frontal/Lateral, AP/PA and the fourteen observations
test.csv or test_labels.csv         optional; the latter, from CheXlocalize, has only Path and the observations
train/patient00001/study1/view1_frontal.jpg  valid/…  test/…

The folder `CheXpert-v1.0[-small]` with which `Path` begins may be this folder, or lie in it. Only frontal images are
read. Without a test table the 200 studies of valid.csv, which radiologists labelled, are the test list, and one in
eight patients of train.csv is used for validation.
"""

from collections.abc import Iterator, Mapping
from math import isnan, nan
from pathlib import Path
from typing import Literal

from training.data.chestxray14 import is_validation
from training.data.pixel_path import Radiographs
from training.data.published import Entry, choose, find, lines, radiographs, table
from training.data.sample import Case, parse_age
from training.errors import TrainingError

Uncertain = Literal["ones", "zeros", "ignore"]

TRAIN, VALID, TEST = "train.csv", "valid.csv", ("test.csv", "test_labels.csv")
# Observation of the CheXpert labeller to label, ChestX-ray14's first; MIMIC-CXR-JPG has the same observations.
OBSERVATIONS: Mapping[str, str] = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Pleural Effusion": "Effusion",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Enlarged Cardiomediastinum": "Enlarged Cardiomediastinum",
    "Lung Opacity": "Lung Opacity",  # any opacity: wider than ChestX-ray14's Infiltration
    "Lung Lesion": "Lung Lesion",  # nodules, masses and more, so neither Nodule nor Mass
    "Pleural Other": "Pleural Other",  # thickening, plaques and more, so not Pleural_Thickening
    "Fracture": "Fracture",
    "Support Devices": "Support Devices",
}
LABELS = tuple(OBSERVATIONS.values())
NO_FINDING, DEVICES = "No Finding", "Support Devices"
VALUES = {"1.0": 1.0, "1": 1.0, "0.0": 0.0, "0": 0.0, "": nan}
UNCERTAIN_VALUES = ("-1.0", "-1")
POLICIES: Mapping[Uncertain, float] = {"ones": 1.0, "zeros": 0.0, "ignore": nan}  # U-Ones, U-Zeros, U-Ignore
SEXES = {"Female": "F", "Male": "M"}


def is_here(folder: Path) -> bool:
    """Return whether the folder has the tables of CheXpert."""
    file = find(folder, TRAIN)
    return file is not None and next(lines(file), "").startswith("Path,")


def read(folder: Path, split: str, size: int, uncertain: Uncertain = "ignore") -> Radiographs:
    """Open the frontal images of one split: `train`, `val`, `test` or `train+val`.

    Raises
    ------
    TrainingError
        A table does not fit, images are missing, or a patient is in two splits.
    """
    return radiographs(folder, split, choose(folder, split, entries_by_split(folder, uncertain)), LABELS, size)


def entries_by_split(folder: Path, uncertain: Uncertain) -> dict[str, list[Entry]]:
    """Return the frontal images of each split, in the tables' order."""
    train, valid = (list(entries(folder, name, uncertain)) for name in (TRAIN, VALID))
    if test := next((name for name in TEST if find(folder, name)), None):
        return {"train": train, "val": valid, "test": list(entries(folder, test, uncertain))}
    parts: dict[str, list[Entry]] = {"train": [], "val": [], "test": valid}
    for entry in train:
        parts["val" if is_validation(entry[0].patient) else "train"].append(entry)
    return parts


def entries(folder: Path, name: str, uncertain: Uncertain) -> Iterator[Entry]:
    """Yield the frontal images of a table."""
    for where, row in table(folder, name, ("Path", *OBSERVATIONS)):
        *above, part, patient, study, file = ("", "", "", *row["Path"].split("/"))
        if not patient.startswith("patient"):
            raise TrainingError(f"{where}: Path must end in train/patient00001/study1/view1_frontal.jpg or the like")
        if row.get("Frontal/Lateral", "Frontal" if "frontal" in file else "Lateral") != "Frontal":
            continue
        inner = "/".join((part, patient, study, file))
        outer = folder.joinpath(*above)
        view = row.get("AP/PA", "")
        case = Case(
            image=inner,
            patient=patient,
            findings=findings(row, uncertain, where),
            sex=SEXES.get(row.get("Sex", ""), ""),
            age=parse_age(row.get("Age", "")),
            view=view if view in ("AP", "PA") else "",
        )
        yield case, (outer if outer.is_dir() else folder) / inner


def findings(row: Mapping[str, str], uncertain: Uncertain, where: str) -> tuple[float, ...]:
    """Return 1, 0 or NaN for each label, from the columns of the observations.

    A report that does not mention an observation leaves it unknown. Where the labeller found nothing (No Finding), all
    are absent except devices, of which No Finding says nothing (Irvin et al., section 2).
    """
    values = VALUES | dict.fromkeys(UNCERTAIN_VALUES, POLICIES[uncertain])
    try:
        stated = [values[row[name]] for name in OBSERVATIONS]
        healthy = values[row.get(NO_FINDING, "")] == 1
    except KeyError:
        raise TrainingError(f"{where}: observations must be 1.0, 0.0, -1.0 or blank") from None
    return tuple(
        0.0 if healthy and isnan(value) and name != DEVICES else value
        for name, value in zip(OBSERVATIONS, stated, strict=True)
    )
