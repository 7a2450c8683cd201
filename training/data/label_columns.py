"""The labels of a table of one's own: those of ChestX-ray14, or the columns that contain findings."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from math import nan
from pathlib import Path

from model.labels import LABELS, NO_FINDING
from training.errors import TrainingError

FINDING = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0} | dict.fromkeys(
    ("", "-1", "-1.0", "u"), nan
)  # u and -1 mean uncertain in CheXpert
MISSPELT = 0.85  # similarity of two names, from which one is a misspelling of the other (Efusion 0.93)
LONGEST = 64  # characters, PS3.5 6.2, LO: the meaning of a code
RESERVED = ("macro", "all")  # names of means over labels in the documents of an evaluation
FORBIDDEN = ",\\"  # separates labels in options; separates values in DICOM

Rows = Sequence[tuple[str, Mapping[str, str]]]


def table_labels(file: Path, rows: Rows, metadata: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a table.

    They are those of ChestX-ray14 if every column that is not metadata is one of them; a missing column is unknown for
    all images. Otherwise they are the columns that are not metadata, in the order of the header.

    Parameters
    ----------
    rows
        Place and values of each row, see `folder_dataset.read_rows`.
    metadata
        Names of the columns that are not findings.

    Raises
    ------
    TrainingError
        A column is neither metadata nor a finding, is nearly named as one, or has a name that is no label.
    """
    header = tuple(rows[0][1]) if rows else ()
    columns = tuple(name for name in header if name not in metadata)
    own = [name for name in columns if name not in LABELS]
    for name in own:
        check_name(file, name, (*metadata, *LABELS))
        check_values(file, name, rows, (*metadata, *LABELS))
    return columns if own else LABELS


def check_name(file: Path, name: str, known: Sequence[str]) -> None:
    """Refuse a column whose name is a misspelling of a known one, or cannot be a label."""
    by_spelling = {spelling(each): each for each in known}
    if near := get_close_matches(spelling(name), by_spelling, 1, MISSPELT):
        raise TrainingError(f"{file}: unknown column {name!r}, did you mean {by_spelling[near[0]]}?")
    if name == NO_FINDING:
        raise TrainingError(f"{file}: {name} is not a finding: leave the column out, and train with --no-finding")
    printable = name.isprintable() and not set(FORBIDDEN) & set(name)
    if not name or name in RESERVED or len(name) > LONGEST or not printable:
        what = f"expected 1 to {LONGEST} printable characters without comma and backslash, and not {RESERVED}"
        raise TrainingError(f"{file}: column {name!r} cannot be a label, {what}")


def check_values(file: Path, name: str, rows: Rows, known: Iterable[str]) -> None:
    """Refuse a column of which a value is not that of a finding, or all are unknown."""
    values = [FINDING.get(row[name].lower()) for _, row in rows]
    if None in values or not {0.0, 1.0} & set(values):
        wrong = (
            f"{rows[values.index(None)][0].rpartition(', ')[2]} has another" if None in values else "all are unknown"
        )
        hint = f"known are {', '.join(known)}; values of a finding are 1, 0, or for unknown blank, u or -1, but {wrong}"
        raise TrainingError(f"{file}: unknown column {name!r}, {hint}")


def spelling(name: str) -> str:
    """Return a name in lower case with blanks for underscores, for comparison."""
    return name.lower().replace("_", " ")
