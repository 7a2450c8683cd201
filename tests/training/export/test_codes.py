from pathlib import Path

import pytest

from training.errors import TrainingError
from training.export.codes import COLUMNS, read_codes

LABELS = ("Effusion", "Fracture", "Lung lesion")
HEADER = ",".join(COLUMNS)
FRACTURE = "Fracture,125605004,SCT,Fracture of bone,51299004,SCT,Clavicle"


def table(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "codes.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_row_has_the_codes_of_finding_and_site(tmp_path: Path) -> None:
    assert read_codes(table(tmp_path, FRACTURE), LABELS) == {
        "Fracture": {
            "finding": {"value": "125605004", "scheme": "SCT", "meaning": "Fracture of bone"},
            "site": {"value": "51299004", "scheme": "SCT", "meaning": "Clavicle"},
        }
    }
    assert read_codes(table(tmp_path), LABELS) == {}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [FRACTURE.replace("Fracture,", "Fractures,", 1)],
            r"unknown label 'Fractures', did you mean Fracture\?",
        ),
        ([FRACTURE.replace("Fracture,", "Zzz,", 1)], "unknown label 'Zzz', the network has Effusion, Fracture, Lung"),
        ([FRACTURE, FRACTURE], "line 3: label 'Fracture' has two rows"),
        ([FRACTURE.replace("51299004", "")], "line 2: site_value is missing"),
        ([FRACTURE.replace("125605004", "1" * 17)], "finding_value has 17 characters, expected at most 16"),
        ([FRACTURE.replace("SCT", "99" + "X" * 15)], "finding_scheme has 17 characters, expected at most 16"),
        ([FRACTURE.replace("Clavicle", "x" * 65)], "site_meaning has 65 characters, expected at most 64"),
        ([FRACTURE.replace("Clavicle", "a\\b")], "site_meaning has a backslash or a control character"),
        ([FRACTURE, FRACTURE.replace("Fracture,", "Effusion,", 1)], "two labels have the code 125605004 as finding"),
    ],
)
def test_an_invalid_row_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_codes(table(tmp_path, *rows), LABELS)


def test_columns_must_be_those_of_the_table(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no column site_meaning"):
        read_codes(table(tmp_path, header=HEADER.rpartition(",")[0]), LABELS)
    with pytest.raises(TrainingError, match="unknown column 'note', expected label, finding_value"):
        read_codes(table(tmp_path, f"{FRACTURE},x", header=f"{HEADER},note"), LABELS)
