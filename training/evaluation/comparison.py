"""Another model's predictions, read from a table, to be scored on the same images as ours."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from model.labels import LABELS
from training.data.sample import Case
from training.errors import TrainingError
from training.evaluation.predictions import BRANCHES
from training.evaluation.scores import UNCALIBRATED, Reading

IMAGE = ("Image Index", "image")  # columns that may name the image
PREFIX = "prob_"  # that a label's column may have


def compared(paths: Sequence[Path], cases: Sequence[Case]) -> tuple[Reading, ...]:
    """Read every table; each model is called as its file, without the suffix.

    Raises
    ------
    TrainingError
        As `read`, or two of one name.
    """
    taken = list(BRANCHES)
    for path in paths:
        if path.stem in taken:
            raise TrainingError(f"{path}: {path.stem!r} is the name of another branch or model, rename the file")
        taken.append(path.stem)
    return tuple(read(path, cases) for path in paths)


def read(path: Path, cases: Sequence[Case]) -> Reading:
    """A CSV table with the image's name and a column for every label, in the order of these cases.

    Columns: `Image Index` or `image`, and each label, bare or as `prob_…`; rows of other images are left alone.
    Values may be any scores; where all are in [0, 1], they are taken as probabilities too.

    Raises
    ------
    TrainingError
        Not readable; a column, an image or a number is missing; or an image stands in it twice.
    """
    names = [case.image for case in cases]
    table = numbers(path, set(names))
    if missing := [name for name in names if name not in table]:
        raise TrainingError(f"{path}: {len(missing)} of {len(names)} images are not in it, first: {missing[0]}")
    scores = np.array([table[name] for name in names]).reshape(-1, len(LABELS))
    if unknown := np.flatnonzero(~np.isfinite(scores).all(1)).tolist():
        raise TrainingError(
            f"{path}: {len(unknown)} of {len(names)} images have a value that is no number, first: {names[unknown[0]]}"
        )
    within = bool(((scores >= 0) & (scores <= 1)).all())
    return Reading(path.stem, scores, {UNCALIBRATED: scores} if within else {})


def numbers(path: Path, wanted: set[str]) -> dict[str, list[float]]:
    """Image to one number for each label, NaN where there is none, of the wanted images."""
    found: dict[str, list[float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            image, columns = header(path, reader.fieldnames or ())
            for row in reader:
                if (name := (row[image] or "").strip()) not in wanted:
                    continue
                if name in found:
                    raise TrainingError(f"{path}: image {name} stands in it twice")
                found[name] = [number(row[column]) for column in columns]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path}: {error}") from error
    return found


def header(path: Path, names: Iterable[str]) -> tuple[str, list[str]]:
    """The image's column, and each label's."""
    names = list(names)
    image = next((name for name in IMAGE if name in names), None)
    if image is None:
        raise TrainingError(f"{path}: no column {' or '.join(IMAGE)}")
    columns = {label: name for label in LABELS for name in (PREFIX + label, label) if name in names}
    if missing := [label for label in LABELS if label not in columns]:
        raise TrainingError(f"{path}: no column for {', '.join(missing)}")
    return image, [columns[label] for label in LABELS]


def number(text: str | None) -> float:
    """NaN where it is none."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
