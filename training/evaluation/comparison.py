"""Predictions of another model, read from a table, to be scored on the same images."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from training.data.sample import Case
from training.errors import TrainingError
from training.evaluation.predictions import BRANCHES
from training.evaluation.scores import UNCALIBRATED, Reading

IMAGE = ("Image Index", "image")  # possible names of the image column
PREFIX = "prob_"  # optional prefix of a label's column


def read_tables(paths: Sequence[Path], cases: Sequence[Case], labels: Sequence[str]) -> tuple[Reading, ...]:
    """Read every table; a model is named after its file, without the suffix.

    Raises
    ------
    TrainingError
        A table cannot be read (see `read_table`), or two models have the same name.
    """
    taken = list(BRANCHES)
    for path in paths:
        if path.stem in taken:
            raise TrainingError(f"{path}: {path.stem!r} is the name of another branch or model; rename the file")
        taken.append(path.stem)
    return tuple(read_table(path, cases, labels) for path in paths)


def read_table(path: Path, cases: Sequence[Case], labels: Sequence[str]) -> Reading:
    """Read a CSV table of one row per image into scores in the order of the cases.

    The columns are `Image Index` or `image`, and each label, with or without `prob_`; rows of other images are ignored.
    Values may be any scores; if all are in [0, 1], they are scored as probabilities too.

    Raises
    ------
    TrainingError
        The file cannot be read; a column, an image or a number is missing; or an image has two rows.
    """
    names = [case.image for case in cases]
    table = read_rows(path, set(names), labels)
    if missing := [name for name in names if name not in table]:
        raise TrainingError(f"{path}: {len(missing)} of {len(names)} images are not in it, first: {missing[0]}")
    scores = np.array([table[name] for name in names]).reshape(-1, len(labels))
    if unknown := np.flatnonzero(~np.isfinite(scores).all(1)).tolist():
        raise TrainingError(
            f"{path}: {len(unknown)} of {len(names)} images have a value that is not a number, "
            f"first: {names[unknown[0]]}"
        )
    within = bool(((scores >= 0) & (scores <= 1)).all())
    return Reading(path.stem, scores, {UNCALIBRATED: scores} if within else {})


def read_rows(path: Path, images: set[str], labels: Sequence[str]) -> dict[str, list[float]]:
    """Read the rows of these images: image to one number per label, NaN where the cell holds none."""
    rows: dict[str, list[float]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.DictReader(text)
            reader.fieldnames = [name.strip() for name in reader.fieldnames or ()]
            image, columns = header(path, reader.fieldnames or (), labels)
            for row in reader:
                if (name := (row[image] or "").strip()) not in images:
                    continue
                if name in rows:
                    raise TrainingError(f"{path}: image {name} has two rows")
                rows[name] = [number(row[column]) for column in columns]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TrainingError(f"{path}: {error}") from error
    return rows


def header(path: Path, names: Iterable[str], labels: Sequence[str]) -> tuple[str, list[str]]:
    """Return the name of the image column and of each label's column."""
    names = list(names)
    image = next((name for name in IMAGE if name in names), None)
    if image is None:
        raise TrainingError(f"{path}: no column {' or '.join(IMAGE)}")
    columns = {label: name for label in labels for name in (PREFIX + label, label) if name in names}
    if missing := [label for label in labels if label not in columns]:
        raise TrainingError(f"{path}: no column for {', '.join(missing)}")
    return image, [columns[label] for label in labels]


def number(text: str | None) -> float:
    """Parse a number; NaN if it is not one."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")
