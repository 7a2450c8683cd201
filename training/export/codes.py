"""The table of codes that a site gives its labels, for DICOM and FHIR: codes.csv.

label,finding_value,finding_scheme,finding_meaning,site_value,site_scheme,site_meaning
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import product
from pathlib import Path

from training.data.folder_dataset import read_rows
from training.errors import TrainingError

TABLE = "codes.csv"
CONCEPTS = ("finding", "site")
LENGTHS = {"value": 16, "scheme": 16, "meaning": 64}  # PS3.5 6.2: SH, SH, LO
COLUMNS = ("label", *(f"{concept}_{part}" for concept, part in product(CONCEPTS, LENGTHS)))

Codes = dict[str, dict[str, dict[str, str]]]  # label to finding and site to value, scheme and meaning


def read_codes(table: Path, labels: Sequence[str]) -> Codes:
    """Read the table; a label without a row has the codes of the service's own table.

    Raises
    ------
    TrainingError
        The table cannot be read; a column or a value is missing, or is too long for DICOM; a label is unknown or has
        two rows; or two labels have the same code of a finding.
    """
    rows = list(read_rows(table, COLUMNS))
    if others := [name for name in rows[0][1] if name not in COLUMNS] if rows else []:
        raise TrainingError(f"{table}: unknown column {others[0]!r}, expected {', '.join(COLUMNS)}")
    codes: Codes = {}
    for place, row in rows:
        if (label := row["label"]) not in labels:
            near = get_close_matches(label, labels, 1)
            hint = f"did you mean {near[0]}?" if near else f"the network has {', '.join(labels)}"
            raise TrainingError(f"{place}: unknown label {label!r}, {hint}")
        if label in codes:
            raise TrainingError(f"{place}: label {label!r} has two rows")
        check_row(place, row)
        codes[label] = {concept: {part: row[f"{concept}_{part}"] for part in LENGTHS} for concept in CONCEPTS}
    counts = Counter((code["finding"]["scheme"], code["finding"]["value"]) for code in codes.values())
    if shared := [value for (_, value), count in counts.items() if count > 1]:
        raise TrainingError(f"{table}: two labels have the code {shared[0]} as finding")
    return codes


def check_row(place: str, row: Mapping[str, str]) -> None:
    """Refuse a value that is missing, or that DICOM cannot hold."""
    for concept, (part, longest) in product(CONCEPTS, LENGTHS.items()):
        value = row[name := f"{concept}_{part}"]
        if not value:
            raise TrainingError(f"{place}: {name} is missing")
        if len(value) > longest:
            raise TrainingError(f"{place}: {name} has {len(value)} characters, expected at most {longest}")
        if "\\" in value or not value.isprintable():
            raise TrainingError(f"{place}: {name} has a backslash or a control character, which DICOM does not allow")
