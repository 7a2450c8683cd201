from math import isnan, nan
from pathlib import Path

import numpy as np
import pytest

from tests.training.data_sets import CHEXPERT_HEADER, chexpert, chexpert_row, picture, write
from training.data.chestxray14 import is_validation
from training.data.chexpert import LABELS, Uncertain, read
from training.data.sources import format_of
from training.errors import TrainingError

EFFUSION, FRACTURE, DEVICES = (LABELS.index(name) for name in ("Effusion", "Fracture", "Support Devices"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return chexpert(tmp_path / "CheXpert-v1.0-small")


def one_row(root: Path, values: dict[str, str], **options: str) -> Path:
    """A folder with one training image."""
    path = "CheXpert-v1.0/train/patient00001/study2/view1_frontal.jpg"
    picture(root / "train/patient00001/study2/view1_frontal.jpg")
    write(root / "train.csv", CHEXPERT_HEADER, [chexpert_row(path, values, **options)])
    write(root / "valid.csv", CHEXPERT_HEADER, [])
    return root


def test_only_frontal_images_are_read_with_their_metadata(folder: Path) -> None:
    assert format_of(folder) == "CheXpert"
    both = read(folder, "train+val", 32)
    assert len(both) == 40
    assert all(path.is_file() for path in both.paths)
    case = next(case for case in both.cases if case.patient == "patient00002")
    assert case.image == "train/patient00002/study1/view1_frontal.jpg"
    assert (case.sex, case.age, case.view) == ("F", 68.0, "AP")
    assert both.labels == LABELS
    assert both[0].canvas.shape == (1, 32, 32)


@pytest.mark.parametrize(("uncertain", "value"), [("ones", 1.0), ("zeros", 0.0), ("ignore", nan)])
def test_uncertain_labels_follow_the_policy_and_blank_ones_stay_unknown(
    folder: Path, uncertain: Uncertain, value: float
) -> None:
    cases = read(folder, "train+val", 32, uncertain).cases
    effusion = {int(case.patient[-5:]) % 4: case.findings[EFFUSION] for case in cases}
    np.testing.assert_equal(effusion, {0: 1.0, 1: 0.0, 2: value, 3: nan})
    assert {case.findings[FRACTURE] for case in cases} == {0.0}


def test_no_finding_makes_all_but_devices_absent(tmp_path: Path) -> None:
    (case,) = read(one_row(tmp_path, {"No Finding": "1.0"}), "train+val", 32).cases
    assert isnan(case.findings[DEVICES])
    assert set(case.findings[:DEVICES]) == {0.0}


def test_without_a_test_table_an_eighth_validates_and_the_radiologists_images_test(folder: Path) -> None:
    train, val, test = (read(folder, split, 32) for split in ("train", "val", "test"))
    assert all(is_validation(patient) for patient in {case.patient for case in val.cases})
    assert not any(is_validation(patient) for patient in {case.patient for case in train.cases})
    assert len(train) + len(val) == 40
    assert {case.patient for case in test.cases} == {"patient64541", "patient64542"}
    assert all(value == 0 for case in test.cases for value in case.findings)


def test_with_a_test_table_the_published_lists_are_kept(folder: Path) -> None:
    picture(folder / "test/patient64741/study1/view1_frontal.jpg")
    names = CHEXPERT_HEADER.split(",")[5:]
    header = ",".join(["Path", *names])
    row = ",".join(["test/patient64741/study1/view1_frontal.jpg", *("1" if name == "Edema" else "0" for name in names)])
    write(folder / "test_labels.csv", header, [row, row.replace("view1_frontal", "view2_lateral")])
    assert [len(read(folder, split, 32)) for split in ("train", "val", "test")] == [40, 2, 1]
    (case,) = read(folder, "test", 32).cases
    assert case.findings == tuple(float(label == "Edema") for label in LABELS)
    assert (case.sex, case.age, case.view) == ("", None, "")


def test_tables_beside_the_published_folder(tmp_path: Path) -> None:
    chexpert(tmp_path / "CheXpert-v1.0-small")
    for name in ("train.csv", "valid.csv"):
        (tmp_path / "CheXpert-v1.0-small" / name).rename(tmp_path / name)
    assert len(read(tmp_path, "train+val", 32)) == 40


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        ({"Edema": "maybe"}, "", r"train\.csv, line 2: observations must be"),
        ({}, "train/someone/study1/view1_frontal.jpg", r"line 2: Path must end in train/patient00001"),
    ],
)
def test_a_table_that_does_not_fit_is_named_without_its_values(
    tmp_path: Path, values: dict[str, str], path: str, message: str
) -> None:
    folder = one_row(tmp_path, values)
    if path:
        write(folder / "train.csv", CHEXPERT_HEADER, [chexpert_row(path, values)])
    with pytest.raises(TrainingError, match=message) as caught:
        read(folder, "train", 32)
    assert "maybe" not in str(caught.value)
    assert "someone" not in str(caught.value)


def test_missing_images_are_an_error_unless_they_are_excluded(folder: Path) -> None:
    image = "train/patient00009/study1/view1_frontal.jpg"
    (folder / image).unlink()
    with pytest.raises(
        TrainingError, match=rf"1 of 40 images of train\+val are missing, first: {image}.*excluded\.txt"
    ):
        read(folder, "train+val", 32)
    (folder / "excluded.txt").write_text(f"{image}\n")
    assert len(read(folder, "train+val", 32)) == 39


def test_a_patient_in_two_tables_is_an_error(folder: Path) -> None:
    path = "valid/patient00001/study1/view1_frontal.jpg"
    write(folder / "valid.csv", CHEXPERT_HEADER, [chexpert_row(path, {})])
    with pytest.raises(TrainingError, match="1 patients of test are in train too"):
        read(folder, "train", 32)


def test_an_unknown_split_is_an_error(folder: Path) -> None:
    with pytest.raises(TrainingError, match="split 'all': expected one of train, val, test"):
        read(folder, "all", 32)
