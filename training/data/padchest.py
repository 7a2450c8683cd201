"""PadChest (Bustos et al., Medical Image Analysis 2020) as published by BIMCV.

PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv    also as .csv.gz
0/*.png … 54/*.png                                      16-bit PNG; the folder is the column ImageDir

Only frontal images are read (Projection PA, AP or AP_horizontal), and none whose report was excluded or has no label.
There is no published split: patients are divided 70 : 10 : 20 by a hash.
"""

from ast import literal_eval
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cache
from math import nan
from pathlib import Path

from model.labels import LABELS
from training.data.folder_dataset import assign_split
from training.data.pixel_path import Radiographs
from training.data.published import PARTS, Entry, choose, find, radiographs, table
from training.data.sample import OLDEST, Case
from training.errors import TrainingError

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS = ("ImageID", "ImageDir", "PatientID", "Projection", "Labels")
VIEWS = {"PA": "PA", "AP": "AP", "AP_horizontal": "AP"}
# Terms that mean one of ChestX-ray14's findings, or a kind of it in PadChest's hierarchy. Terms are compared whole:
# "subcutaneous emphysema" is not Emphysema, and "pericardial effusion" is not Effusion.
TERMS: Mapping[str, Sequence[str]] = {
    "atelectasis": ("Atelectasis",),
    "total atelectasis": ("Atelectasis",),
    "lobar atelectasis": ("Atelectasis",),
    "segmental atelectasis": ("Atelectasis",),
    "laminar atelectasis": ("Atelectasis",),
    "round atelectasis": ("Atelectasis",),
    "atelectasis basal": ("Atelectasis",),
    "cardiomegaly": ("Cardiomegaly",),
    "pleural effusion": ("Effusion",),
    "loculated pleural effusion": ("Effusion",),
    "loculated fissural effusion": ("Effusion",),
    "empyema": ("Effusion",),
    "hemothorax": ("Effusion",),
    "hydropneumothorax": ("Effusion", "Pneumothorax"),
    "infiltrates": ("Infiltration",),  # the patterns beneath it in the hierarchy have labels of their own
    "mass": ("Mass",),  # close: may also lie outside the lung
    "pulmonary mass": ("Mass",),
    "nodule": ("Nodule",),
    "multiple nodules": ("Nodule",),
    "pneumonia": ("Pneumonia",),
    "atypical pneumonia": ("Pneumonia",),
    "pneumothorax": ("Pneumothorax",),
    "consolidation": ("Consolidation",),
    "pulmonary edema": ("Edema",),
    "emphysema": ("Emphysema",),
    "pulmonary fibrosis": ("Fibrosis",),  # close: ChestX-ray14's also has fibrotic bands and scars
    "pleural thickening": ("Pleural_Thickening",),
    "apical pleural thickening": ("Pleural_Thickening",),
    "calcified pleural thickening": ("Pleural_Thickening",),
    "hiatal hernia": ("Hernia",),  # close: ChestX-ray14's also has other hernias
}
NORMAL, UNCHANGED, EXCLUDE = "normal", "unchanged", "exclude"
NO_FINDINGS = {NORMAL, UNCHANGED, EXCLUDE, "suboptimal study", ""}
MIN_IMAGES = 100  # frontal images; rarer terms are no labels, as they could be neither trained nor scored


def is_here(folder: Path) -> bool:
    """Return whether the folder has the table of PadChest."""
    return find(folder, TABLE) is not None


def read(folder: Path, split: str, size: int) -> Radiographs:
    """Open the frontal images of one split: `train`, `val`, `test` or `train+val`.

    The labels are ChestX-ray14's, and the other terms with at least `MIN_IMAGES` frontal images in the whole table.

    Raises
    ------
    TrainingError
        The table does not fit, or images are missing.
    """
    rows = frontal_rows(folder)
    labels = label_set(terms(row["Labels"]) for _, row in rows)
    by_split: dict[str, list[Entry]] = {part: [] for part in PARTS}
    for where, row in rows:
        by_split[assign_split(row["PatientID"])].append(entry(folder, row, labels, where))
    return radiographs(folder, split, choose(folder, split, by_split), labels, size)


def frontal_rows(folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Read the rows of frontal images whose reports have labels.

    Raises
    ------
    TrainingError
        The table does not fit.
    """
    rows = [(where, row) for where, row in table(folder, TABLE, COLUMNS) if row["Projection"] in VIEWS]
    for where, row in rows:
        if terms(row["Labels"]) is None:
            raise TrainingError(f"{where}: Labels must be a list such as ['pleural effusion', 'nodule']")
    return [(where, row) for where, row in rows if (found := terms(row["Labels"])) and EXCLUDE not in found]


@cache  # most of the 160,000 rows repeat
def terms(published: str) -> frozenset[str] | None:
    """Parse `['nodule', ' cardiomegaly']`; empty if blank, None if it is no list of terms."""
    if not published:
        return frozenset()
    try:
        words = literal_eval(published)
    except (ValueError, SyntaxError):
        return None
    return frozenset(str(word).strip() for word in words) if isinstance(words, list) else None


def label_set(found: Iterable[Set[str] | None]) -> tuple[str, ...]:
    """Return ChestX-ray14's labels, and in alphabetical order the terms that are frequent enough."""
    counts = Counter(term for each in found for term in each or ())
    own = [term for term in counts if term not in TERMS and term not in NO_FINDINGS and counts[term] >= MIN_IMAGES]
    return (*LABELS, *sorted(own))


def entry(folder: Path, row: Mapping[str, str], labels: tuple[str, ...], where: str) -> Entry:
    """Return the case and the file of a row."""
    sex = row.get("PatientSex_DICOM", "")
    case = Case(
        image=row["ImageID"],
        patient=row["PatientID"],
        findings=findings(terms(row["Labels"]) or frozenset(), labels),
        sex=sex if sex in ("F", "M") else "",
        age=age(row.get("StudyDate_DICOM", ""), row.get("PatientBirth", "")),
        view=VIEWS[row["Projection"]],
    )
    if not row["ImageDir"].removesuffix(".0").isdecimal():
        raise TrainingError(f"{where}: ImageDir must be a number")
    return case, folder / row["ImageDir"].removesuffix(".0") / row["ImageID"]


@cache
def findings(found: frozenset[str], labels: tuple[str, ...]) -> tuple[float, ...]:
    """Return 1 for each label that a term means, else 0; else unknown if the report only says what is unchanged."""
    present = {label for term in found for label in TERMS.get(term, (term,))}
    other = nan if UNCHANGED in found else 0.0
    return tuple(1.0 if label in present else other for label in labels)


def age(study_date: str, birth_year: str) -> float | None:
    """Return the age in years from a date such as `20140915` and a year such as `1946.0`; None if unknown."""
    year = birth_year.removesuffix(".0")
    if not (study_date[:4].isdecimal() and year.isdecimal()):
        return None
    years = float(study_date[:4]) - float(year)
    return years if 0 <= years <= OLDEST else None
