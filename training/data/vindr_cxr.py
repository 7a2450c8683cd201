"""VinDr-CXR (Nguyen et al., Scientific Data 2022), version 1.0.0 as published on PhysioNet.

annotations/image_labels_train.csv    image_id, rad_id and 28 labels: a row for each of an image's three readers
annotations/image_labels_test.csv     image_id and the labels: consensus of five readers
annotations/annotations_train.csv     image_id, rad_id, class_name, x_min, y_min, x_max, y_max in pixels, or blank
annotations/annotations_test.csv      the same without rad_id
train/IMAGE_ID.dicom  test/IMAGE_ID.dicom

A label is present if most of an image's readers found it, and then has the boxes of all of them. No patient is
published, so each image counts as a patient. There is no list for validation: one in eight training images is used.
The headers have no Modality and no UIDs, so the service would refuse the files; here they are decoded without its
checks of the header.
"""

import warnings
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from math import nan
from pathlib import Path

from pydicom import dcmread

from training.data.chestxray14 import is_validation
from training.data.pixel_path import Radiographs
from training.data.published import PARTS, Entry, choose, find, radiographs, table
from training.data.sample import Box, Case, parse_age
from training.errors import TrainingError

FOLDER, TRAIN = "annotations", "image_labels_train.csv"
# Published name to label, ChestX-ray14's first
NAMES: Mapping[str, str] = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Pleural effusion": "Effusion",
    "Infiltration": "Infiltration",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": "Emphysema",
    "Pulmonary fibrosis": "Fibrosis",  # close: ChestX-ray14's Fibrosis was mined from words of reports
    "Pleural thickening": "Pleural_Thickening",
    "Aortic enlargement": "Aortic enlargement",
    "COPD": "COPD",
    "Calcification": "Calcification",
    "Clavicle fracture": "Clavicle fracture",
    "Enlarged PA": "Enlarged PA",
    "ILD": "ILD",
    "Lung Opacity": "Lung Opacity",  # close to CheXpert's of the same name
    "Lung cavity": "Lung cavity",
    "Lung cyst": "Lung cyst",
    "Lung tumor": "Lung tumor",
    "Mediastinal shift": "Mediastinal shift",
    "Nodule/Mass": "Nodule/Mass",  # one label for what ChestX-ray14 divides by size
    "Other diseases": "Other diseases",
    "Other lesion": "Other lesion",
    "Rib fracture": "Rib fracture",
    "Tuberculosis": "Tuberculosis",
}
LABELS = tuple(NAMES.values())
SPELLINGS = {"Other diseases": "Other disease"}  # in the table of the test images
EDGES = ("x_min", "y_min", "x_max", "y_max")
HEADER = ("Rows", "Columns", "PatientSex", "PatientAge")


def is_here(folder: Path) -> bool:
    """Return whether the folder has the tables of VinDr-CXR."""
    return find(folder / FOLDER, TRAIN) is not None


def read(folder: Path, split: str, size: int) -> Radiographs:
    """Open the images of one split: `train`, `val`, `test` or `train+val`; reads the headers of its DICOM files.

    Raises
    ------
    TrainingError
        A table does not fit, or images are missing.
    """
    by_split: dict[str, list[Entry]] = {part: [] for part in PARTS}
    for published in ("train", "test"):
        for image, found in image_labels(folder, published).items():
            part = "val" if published == "train" and is_validation(image) else published
            entry = Case(image, image, found, view="PA"), folder / published / f"{image}.dicom"
            by_split[part].append(entry)
    opened = radiographs(folder, split, choose(folder, split, by_split), LABELS, size)
    boxes = {name: pixel_boxes(folder, name) for name in {path.parent.name for path in opened.paths}}
    cases = tuple(
        with_header(case, path, boxes[path.parent.name].get(case.image, {}))
        for case, path in zip(opened.cases, opened.paths, strict=True)
    )
    return replace(opened, cases=cases, header_checked=False)


def image_labels(folder: Path, published: str) -> dict[str, tuple[float, ...]]:
    """Return, for each image, 1 for labels that most readers found, 0 for those that most did not, else NaN."""
    readings = defaultdict[str, list[list[float]]](list)
    name = f"image_labels_{published}.csv"
    for where, row in table(folder / FOLDER, name, ("image_id",)):
        try:
            readings[row["image_id"]].append([float(cell(row, name)) for name in NAMES])
        except (KeyError, ValueError):
            raise TrainingError(f"{where}: expected 0 or 1 in each column of {', '.join(NAMES)}") from None
    return {image: tuple(map(majority, zip(*rows, strict=True))) for image, rows in readings.items()}


def cell(row: Mapping[str, str], name: str) -> str:
    """Return the value of a label, whose name has two spellings."""
    return row[name] if name in row else row[SPELLINGS[name]]


def majority(votes: tuple[float, ...]) -> float:
    """Return the value that most readers gave; NaN if as many gave the other."""
    share = sum(votes) / len(votes)
    return nan if share == 0.5 else float(share > 0.5)


def pixel_boxes(folder: Path, published: str) -> dict[str, dict[str, tuple[Box, ...]]]:
    """Return image to label to boxes of all readers, in pixels of the image."""
    boxes = defaultdict[str, dict[str, tuple[Box, ...]]](dict)
    for where, row in table(folder / FOLDER, f"annotations_{published}.csv", ("image_id", "class_name", *EDGES)):
        if not row["x_min"] or row["class_name"] not in NAMES:
            continue  # No finding, and diagnoses of the whole image
        try:
            x0, y0, x1, y1 = (float(row[edge]) for edge in EDGES)
        except ValueError:
            raise TrainingError(f"{where}: {', '.join(EDGES)} must be numbers or blank") from None
        of_image, label = boxes[row["image_id"]], NAMES[row["class_name"]]
        of_image[label] = (*of_image.get(label, ()), (x0, y0, x1, y1))
    return boxes


def with_header(case: Case, path: Path, boxes: Mapping[str, tuple[Box, ...]]) -> Case:
    """Add what the DICOM header says of the patient, and the boxes of present labels as shares of its size.

    Raises
    ------
    TrainingError
        The file is no DICOM file, or has no size.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # pydicom's warnings quote values
            header = dcmread(path, stop_before_pixels=True, specific_tags=list(HEADER))
            width, height = int(header.Columns), int(header.Rows)
            sex, age = str(header.get("PatientSex", "")), str(header.get("PatientAge", ""))
    except Exception:  # files are not trusted, and pydicom fails in many ways
        raise TrainingError(f"{case.image}: the DICOM header cannot be read") from None
    present = {label for label, value in zip(LABELS, case.findings, strict=True) if value == 1}
    shares = {label: scale(boxes[label], width, height) for label in present if label in boxes}
    return replace(case, sex=sex if sex in ("F", "M") else "", age=parse_age(age), boxes=shares)


def scale(boxes: tuple[Box, ...], width: int, height: int) -> tuple[Box, ...]:
    """Convert boxes in pixels to shares of the image, clipped to it; without those that lie outside."""
    clipped = [
        (max(x0 / width, 0.0), max(y0 / height, 0.0), min(x1 / width, 1.0), min(y1 / height, 1.0))
        for x0, y0, x1, y1 in boxes
    ]
    return tuple((x0, y0, x1, y1) for x0, y0, x1, y1 in clipped if x0 < x1 and y0 < y1)
