from math import nan
from pathlib import Path

import numpy as np
import pytest

from tests.training.data_sets import mimic_cxr, write
from training.data.chexpert import LABELS
from training.data.mimic_cxr import read
from training.data.sources import format_of
from training.errors import TrainingError


def stated(values: tuple[float, ...]) -> dict[str, float]:
    """Labels that are not NaN."""
    return {label: value for label, value in zip(LABELS, values, strict=True) if not np.isnan(value)}


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_frontal_images_with_the_labels_of_their_study(tmp_path: Path, suffix: str) -> None:
    folder = mimic_cxr(tmp_path, suffix)
    assert format_of(folder) == "MIMIC-CXR-JPG"
    train, val, test = (read(folder, split, 32) for split in ("train", "val", "test"))
    assert [case.image for case in train.cases] == [
        "files/p10/p10000032/s50414267/02aa804e.jpg",
        "files/p10/p10000032/s53189527/2a2277a9.jpg",
        "files/p11/p11000899/s50771999/9a1f2b3c.jpg",
    ]
    assert [case.view for case in train.cases] == ["PA", "AP", "AP"]
    assert [case.patient for case in train.cases] == ["10000032", "10000032", "11000899"]
    healthy, sick, unlabelled = train.cases
    assert stated(healthy.findings) == dict.fromkeys(LABELS[:-1], 0.0)  # all but devices
    assert stated(sick.findings) == {"Cardiomegaly": 1.0, "Edema": 0.0, "Support Devices": 1.0}
    assert stated(unlabelled.findings) == {}
    assert stated(val.cases[0].findings) == {"Effusion": 1.0, "Pneumothorax": 0.0}
    assert stated(test.cases[0].findings) == {"Consolidation": 1.0}
    assert train[0].canvas.shape == (1, 32, 32)


def test_uncertain_labels_follow_the_policy(tmp_path: Path) -> None:
    folder = mimic_cxr(tmp_path)
    place = LABELS.index("Pneumonia")
    values = [read(folder, "val", 32, policy).cases[0].findings[place] for policy in ("ones", "zeros", "ignore")]
    np.testing.assert_equal(values, [1.0, 0.0, nan])


def test_an_image_without_a_split_is_an_error(tmp_path: Path) -> None:
    folder = mimic_cxr(tmp_path)
    write(folder / "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split", ["02aa804e,50414267,1,train"])
    with pytest.raises(TrainingError, match=r"metadata\.csv\.gz, line 4: the image must be in .*-split\.csv"):
        read(folder, "train", 32)
