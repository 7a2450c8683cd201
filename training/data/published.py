"""What the readers of published data sets share: tables, plain or .gz, and the checks of what they list.

excluded.txt    optional, the user's own: images to leave out, one name a line, such as those that `agcnn check` refuses
"""

import csv
import gzip
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path

from training.data.pixel_path import Radiographs
from training.data.sample import Case
from training.errors import TrainingError

EXCLUDED = "excluded.txt"
PARTS = ("train", "val", "test")
SPLITS = (*PARTS, "train+val")

Entry = tuple[Case, Path]  # an image's metadata, and its file


def find(folder: Path, name: str) -> Path | None:
    """Return the path of a file or of its .gz; None if there is neither."""
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def lines(file: Path) -> Iterator[str]:
    """Yield the lines of a text file, plain or .gz, without the byte order mark that spreadsheets write."""
    encoding = "utf-8-sig"
    with gzip.open(file, "rt", encoding=encoding) if file.suffix == ".gz" else file.open(encoding=encoding) as text:
        yield from text


def table(folder: Path, name: str, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV table with their line for messages, which do not repeat values.

    Parameters
    ----------
    columns
        Columns that are read; others may follow.

    Raises
    ------
    TrainingError
        The table or a column is missing, or a row has another number of values than the header.
    """
    if (file := find(folder, name)) is None:
        raise TrainingError(f"{folder}: no {name} (or .gz)")
    reader = csv.reader(lines(file))
    names = next(reader, [])
    if missing := [column for column in columns if column not in names]:
        raise TrainingError(f"{file}: no column {missing[0]}")
    for row in filter(None, reader):
        where = f"{file}, line {reader.line_num}"
        if len(row) != len(names):
            raise TrainingError(f"{where}: expected {len(names)} values, got {len(row)}")
        yield where, dict(zip(names, row, strict=True))


def choose(folder: Path, split: str, by_split: Mapping[str, Sequence[Entry]]) -> list[Entry]:
    """Return the images of a split, without the excluded ones.

    Raises
    ------
    TrainingError
        The split is unknown, or a patient is in two splits.
    """
    if split not in SPLITS:
        raise TrainingError(f"split {split!r}: expected one of {', '.join(SPLITS)}")
    refuse_shared_patients(folder, by_split)
    excluded = excluded_images(folder)
    return [entry for part in split.split("+") for entry in by_split[part] if entry[0].image not in excluded]


def refuse_shared_patients(folder: Path, by_split: Mapping[str, Sequence[Entry]]) -> None:
    """Raise if a patient is in two splits."""
    owner: dict[str, str] = {}
    for part, entries in by_split.items():
        patients = {case.patient for case, _ in entries}
        if shared := [patient for patient in patients if patient in owner]:
            raise TrainingError(f"{folder}: {len(shared)} patients of {part} are in {owner[shared[0]]} too")
        owner |= dict.fromkeys(patients, part)


def excluded_images(folder: Path) -> Container[str]:
    """Return the names of the images that the user leaves out."""
    file = folder / EXCLUDED
    return {line.strip() for line in lines(file)} if file.is_file() else set()


def radiographs(folder: Path, split: str, entries: Sequence[Entry], labels: tuple[str, ...], size: int) -> Radiographs:
    """Put the images of a split together.

    Raises
    ------
    TrainingError
        Listed images are missing.
    """
    if missing := [case.image for case, path in entries if not path.is_file()]:
        raise TrainingError(
            f"{folder}: {len(missing)} of {len(entries)} images of {split} are missing, first: {missing[0]}; images to "
            f"leave out can be listed in {EXCLUDED}"
        )
    cases, paths = tuple(case for case, _ in entries), tuple(path for _, path in entries)
    return Radiographs(f"{folder.resolve().name} {split}", cases, paths, size, labels)
