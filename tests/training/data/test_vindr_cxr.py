from pathlib import Path

import numpy as np
import pytest

from service.dicom.radiograph import radiograph
from service.errors import UnsuitableImage
from tests.factories import noise
from tests.training.data_sets import VINDR_LABELS, vindr_cxr, vindr_row
from training.data.chestxray14 import is_validation
from training.data.sources import format_of
from training.data.vindr_cxr import LABELS, NAMES, majority, read
from training.errors import TrainingError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return vindr_cxr(tmp_path)


def present(findings: tuple[float, ...]) -> set[str]:
    return {label for label, value in zip(LABELS, findings, strict=True) if value == 1}


def test_a_label_is_what_most_readers_found_with_all_their_boxes(folder: Path) -> None:
    assert format_of(folder) == "VinDr-CXR"
    cases = read(folder, "train+val", 32).cases
    assert len(cases) == 20
    for case in cases:
        readers = int(case.image, 16) % 4
        assert present(case.findings) == ({"Nodule/Mass"} if readers >= 2 else set())
        box = (64 / 256, 80 / 320, 128 / 256, 160 / 320)
        assert case.boxes == ({"Nodule/Mass": (box,) * readers} if readers >= 2 else {})
        assert (case.patient, case.sex, case.age, case.view) == (case.image, "M", 61.0, "PA")


def test_the_consensus_of_the_test_images(folder: Path) -> None:
    sick, healthy = read(folder, "test", 32).cases
    assert present(sick.findings) == {"Effusion", "COPD"}
    assert sick.boxes == {"Effusion": ((0.0, 0.75, 1.0, 1.0),)}  # clipped to the image
    assert set(healthy.findings) == {0.0}


def test_an_eighth_of_the_training_images_validates(folder: Path) -> None:
    train, val = (read(folder, split, 32) for split in ("train", "val"))
    assert all(is_validation(case.image) for case in val.cases)
    assert not any(is_validation(case.image) for case in train.cases)
    assert len(train) + len(val) == 20


def test_the_pixels_of_files_whose_headers_the_service_refuses(folder: Path) -> None:
    source = read(folder, "test", 256)
    with pytest.raises(UnsuitableImage):
        radiograph(source.paths[0].read_bytes())
    expected = (noise(320, 256, 16, 1) >> 2).astype(np.float32) / 16383
    assert abs(source[0].canvas.mean() - expected.mean()) < 1e-3
    assert source[0].canvas.std() > 0.1


@pytest.mark.parametrize(("votes", "value"), [((1, 1, 0), 1.0), ((1, 0, 0), 0.0), ((1, 0), np.nan), ((0,), 0.0)])
def test_a_tie_of_readers_is_unknown(votes: tuple[float, ...], value: float) -> None:
    np.testing.assert_equal(majority(votes), value)


def test_all_published_labels_but_no_finding_are_read() -> None:
    assert {*NAMES, "No finding"} == set(VINDR_LABELS.split(","))


def test_a_value_that_is_no_number_is_an_error(folder: Path) -> None:
    table = folder / "annotations" / "image_labels_train.csv"
    table.write_text(f"image_id,rad_id,{VINDR_LABELS}\n" + vindr_row("a" * 32, ["COPD"], "R1").replace("1", "x") + "\n")
    with pytest.raises(TrainingError, match=r"image_labels_train\.csv, line 2: expected 0 or 1"):
        read(folder, "train", 32)


def test_a_file_that_is_no_dicom_is_named(folder: Path) -> None:
    (folder / "test" / f"{'b' * 32}.dicom").write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"^b{32}: the DICOM header cannot be read"):
        read(folder, "test", 32)
