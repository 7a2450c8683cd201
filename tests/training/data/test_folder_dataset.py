import os
from collections import Counter
from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model.labels import LABELS
from tests.training.folder import HEADER, ROWS, folder, stored
from training.data.folder_dataset import assign_split, read, split_cases
from training.errors import TrainingError

EFFUSION, NODULE = LABELS.index("Effusion"), LABELS.index("Nodule")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return folder(tmp_path)


class TestTable:
    def test_a_row_is_a_case(self, data: Path) -> None:
        case = read(data, "train", 32).cases[0]
        assert (case.image, case.patient, case.sex, case.age, case.view) == ("a/1.png", "p1", "F", 58.0, "PA")
        assert (case.findings[EFFUSION], case.findings[NODULE]) == (1.0, 0.0)

    def test_a_blank_an_uncertain_value_and_a_missing_column_are_unknown(self, data: Path) -> None:
        by_image = {case.image: case for cases in split_cases(data).values() for case in cases}
        assert isnan(by_image["a/2.jpg"].findings[NODULE])
        assert isnan(by_image["b/3.dcm"].findings[EFFUSION])
        assert isnan(by_image["4.png"].findings[EFFUSION])
        assert all(isnan(by_image["a/1.png"].findings[LABELS.index(name)]) for name in LABELS if name not in HEADER)

    def test_unknown_attributes_of_a_patient_are_empty(self, data: Path) -> None:
        last = split_cases(data)["test"][0]
        assert (last.sex, last.view, last.collection) == ("", "", "")
        assert split_cases(data)["val"][0].age is None

    def test_byte_order_mark_blanks_and_decimals_are_accepted(self, tmp_path: Path) -> None:
        folder(tmp_path, "\ufeffimage, patient ,split,Effusion", ["4.png , p1,Test, 1.0", "", "a/1.png,p2,train,0.0"])
        assert [cases[0].findings[EFFUSION] for cases in split_cases(tmp_path).values() if cases] == [0.0, 1.0]

    def test_splits(self, data: Path) -> None:
        assert [len(read(data, split, 32)) for split in ("train", "val", "test", "train+val")] == [2, 1, 1, 3]

    def test_images_may_lie_in_the_folder_itself(self, data: Path) -> None:
        (data / "images" / "4.png").rename(data / "4.png")
        assert read(data, "test", 32)[0].canvas.shape == (1, 32, 32)


class TestLabels:
    def test_columns_of_chestxray14_alone_give_all_of_its_labels(self, data: Path) -> None:
        assert read(data, "train", 32).labels == LABELS

    def test_a_finding_of_ones_own_makes_the_columns_the_labels(self, tmp_path: Path) -> None:
        rows = ["4.png,Fracture,0.1,0.2,0.3,1"]
        own = folder(tmp_path, "image,patient,Pneumothorax,split,Fracture,Lung lesion", ["4.png,p1,0,train,1,u"])
        (own / "labels.csv").write_text((own / "labels.csv").read_text() + "a/1.png,p2,,train,0,0\n")
        (own / "boxes.csv").write_text("\n".join(["image,finding,x0,y0,x1,y1", *rows]))
        train = read(own, "train", 32)
        assert train.labels == ("Pneumothorax", "Fracture", "Lung lesion")
        np.testing.assert_equal([case.findings for case in train.cases], [(0, 1, nan), (nan, 0, 0)])
        assert train.cases[0].boxes == {"Fracture": ((0.1, 0.2, 0.3, 1.0),)}

    @pytest.mark.parametrize(
        ("column", "value", "message"),
        [
            ("Edemas", "1", r"unknown column 'Edemas', did you mean Edema\?"),
            ("Pleural Thickening", "1", r"did you mean Pleural_Thickening\?"),
            ("Patients", "1", r"did you mean patient\?"),
            ("Views", "0", r"did you mean view\?"),
            ("kVp", "120", r"unknown column 'kVp', .* unknown blank, u or -1, but line 2 has another"),
            ("Fracture", "", r"unknown column 'Fracture', .* but all are unknown"),
            ("No Finding", "1", "No Finding is not a finding: leave the column out"),
            ("macro", "1", "column 'macro' cannot be a label"),
            ('"Cyst, bulla"', "1", "column 'Cyst, bulla' cannot be a label"),
            ("x" * 65, "1", "cannot be a label, expected 1 to 64 printable characters"),
        ],
    )
    def test_a_column_that_is_no_label_is_refused(self, tmp_path: Path, column: str, value: str, message: str) -> None:
        folder(tmp_path, f"image,patient,Effusion,{column}", [f"4.png,p1,1,{value}"])
        with pytest.raises(TrainingError, match=message):
            read(tmp_path, "test", 32)


WRONG = {
    "a finding misspelt": (
        f"{HEADER},Efusion",
        [f"{row},1" for row in ROWS],
        r"unknown column 'Efusion', did you mean Effusion\?",
    ),
    "another column": (f"{HEADER},report", [f"{row},x" for row in ROWS], r"unknown column 'report'"),
    "no patient column": ("image,Effusion", ["4.png,1"], r"no column patient"),
    "a column twice": ("image,patient,patient", ["4.png,p,p"], r"two columns have the same name"),
    "another value": (HEADER, ["4.png,p3,test,O,44,,2,0"], r"line 2: Effusion must be 1, 0, or for unknown blank"),
    "another sex": (HEADER, ["4.png,p3,test,Smith,44,,1,0"], r"line 2: sex must be F, M, O or blank"),
    "another view": (HEADER, ["4.png,p3,test,F,44,LL,1,0"], r"line 2: view must be PA, AP or blank"),
    "an age no one has": (HEADER, ["4.png,p3,test,F,1944,PA,1,0"], r"line 2: age must be in years"),
    "another split": (HEADER, ["4.png,p3,dev,F,44,PA,1,0"], r"line 2: split must be one of train, val, test"),
    "too few values": (HEADER, [ROWS[0], "4.png,p3"], r"line 3: expected 8 values, got 2"),
    "an image twice": (HEADER, [ROWS[0], ROWS[0]], r"image has two rows: 1, first: a/1\.png"),
    "no patient": (HEADER, ["4.png,,test,F,44,PA,1,0"], r"image has no patient: 1, first: 4\.png"),
    "a patient in two splits": (
        HEADER,
        [*ROWS, "b/3.png,p1,test,F,44,PA,1,0"],
        r"the patient of the image is in another split too: 1, first: b/3\.png",
    ),
    "missing files": (
        HEADER,
        [*ROWS, "5.png,p9,test,,,,1,0", "6.png,p9,test,,,,1,0"],
        r"not in the folder: 2, first: 5\.png",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_an_invalid_table_gives_one_line_with_its_place(tmp_path: Path, what: str) -> None:
    header, rows, message = WRONG[what]
    folder(tmp_path, header, rows)
    with pytest.raises(TrainingError, match=message) as caught:
        read(tmp_path, "test", 32)
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("p1", "p3", "p9", "Smith"))


def test_an_empty_or_missing_table_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="expected a comma-separated table in UTF-8"):
        read(tmp_path, "test", 32)
    (tmp_path / "labels.csv").touch()
    with pytest.raises(TrainingError, match="expected a comma-separated table in UTF-8"):
        read(tmp_path, "test", 32)


def test_an_unknown_split_is_refused(data: Path) -> None:
    with pytest.raises(TrainingError, match="expected one of train, val, test"):
        read(data, "dev", 32)


class TestBoxes:
    def test_shares_of_the_image(self, data: Path) -> None:
        rows = ["image,finding,x0,y0,x1,y1", "4.png,Nodule,0.1,0.2,0.3,1", "4.png,Nodule,0,0,0.5,0.5"]
        (data / "boxes.csv").write_text("\n".join(rows))
        assert read(data, "test", 32).cases[0].boxes == {"Nodule": ((0.1, 0.2, 0.3, 1.0), (0.0, 0.0, 0.5, 0.5))}
        assert read(data, "train", 32).cases[0].boxes == {}

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("4.png,Nodule,10,20,30,40", "line 2: expected 0 <= x0 < x1 <= 1"),
            ("4.png,Nodule,0.5,0,0.5,1", "line 2: expected 0 <= x0 < x1 <= 1"),
            ("4.png,Nodule,0,nan,1,1", "line 2: expected 0 <= x0 < x1 <= 1"),
            ("4.png,Nodule,a,0,1,1", "line 2: x0, y0, x1 and y1 must be numbers"),
            ("4.png,Nodul,0,0,1,1", "line 2: finding must be one of"),
            ("9.png,Nodule,0,0,1,1", r"image is not in labels\.csv: 1, first: 9\.png"),
        ],
    )
    def test_others_are_refused(self, data: Path, row: str, message: str) -> None:
        (data / "boxes.csv").write_text(f"image,finding,x0,y0,x1,y1\n{row}\n")
        with pytest.raises(TrainingError, match=message):
            read(data, "test", 32)


class TestDeal:
    def test_shares(self) -> None:
        counts = Counter(assign_split(f"patient {number}") for number in range(4000))
        shares = [counts[name] / 4000 for name in ("train", "val", "test")]
        np.testing.assert_allclose(shares, (0.7, 0.1, 0.2), atol=0.025)  # over three deviations

    @given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
    def test_patients_stay_together_and_rows_move_nobody(self, owners: list[int]) -> None:
        assert [assign_split(str(owner)) for owner in reversed(owners)] == [
            assign_split(str(owner)) for owner in owners
        ][::-1]

    def test_without_the_column_patients_are_divided(self, tmp_path: Path) -> None:
        rows = [f"{number}.png,p{number // 2},1" for number in range(40)]
        by_split = split_cases(folder(tmp_path, "image,patient,Effusion", rows))
        assert all(assign_split(case.patient) == part for part, cases in by_split.items() for case in cases)
        assert sum(map(len, by_split.values())) == 40


class TestKey:
    def test_the_key_depends_on_names_content_size_and_split(self, data: Path) -> None:
        keys = read(data, "train", 32).keys
        assert keys == read(data, "train", 32).keys
        assert len({*keys, *read(data, "train", 64).keys, *read(data, "test", 32).keys}) == 2 + 2 + 1
        picture = data / "images" / "a/1.png"
        Image.fromarray(np.zeros((40, 30), np.uint8)).save(picture)
        changed = read(data, "train", 32).keys
        assert changed[0] != keys[0]
        os.utime(picture, ns=(1, 1))
        assert read(data, "train", 32).keys[0] not in (keys[0], changed[0])


def test_a_picture_of_the_canvas_s_size_is_the_canvas(data: Path) -> None:
    Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32).astype(np.uint8)).save(data / "images" / "4.png")
    np.testing.assert_allclose(read(data, "test", 32)[0].canvas[0], stored(data / "images" / "4.png"), atol=1e-6)


def test_unknown_targets_are_nan(data: Path) -> None:
    assert read(data, "val", 32)[0].case.findings[NODULE] == 1.0
    np.testing.assert_equal(read(data, "val", 32)[0].case.findings[EFFUSION], nan)
