from math import nan
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.labels import LABELS
from tests.factories import noise
from tests.training.data_sets import padchest, padchest_row
from training.data import padchest as reader
from training.data.folder_dataset import assign_split
from training.data.padchest import TERMS, age, read
from training.data.pixel_path import Radiographs
from training.data.sample import Case
from training.data.sources import format_of
from training.errors import TrainingError

ROWS = (
    padchest_row("1.png", "a", "['pleural effusion', ' laminar atelectasis']"),
    padchest_row("2.png", "b", "['normal']", "AP_horizontal", "54"),
    padchest_row("3.png", "c", "['subcutaneous emphysema', 'hydropneumothorax', 'scoliosis']", "AP", "7.0"),
    padchest_row("4.png", "d", "['normal']", "L"),
    padchest_row("5.png", "e", "['exclude', 'nodule']"),
    padchest_row("6.png", "f", "['unchanged', 'pacemaker']"),
    padchest_row("7.png", "g", ""),
    padchest_row("8.png", "h", "['scoliosis', 'mass', '']"),
)


def every_case(folder: Path) -> dict[str, Case]:
    splits = [read(folder, split, 32) for split in ("train", "val", "test")]
    assert all(
        assign_split(case.patient) == split
        for split, part in zip(("train", "val", "test"), splits, strict=True)
        for case in part.cases
    )
    return {case.image: case for part in splits for case in part.cases}


def present(case: Case, labels: tuple[str, ...]) -> set[str]:
    return {label for label, value in zip(labels, case.findings, strict=True) if value == 1}


def test_frontal_images_with_chestxray14_s_names_of_their_findings(tmp_path: Path) -> None:
    folder = padchest(tmp_path, ROWS)
    assert format_of(folder) == "PadChest"
    cases = every_case(folder)
    assert sorted(cases) == ["1.png", "2.png", "3.png", "6.png", "8.png"]  # no lateral, excluded or unlabelled one
    assert {name: present(case, LABELS) for name, case in cases.items()} == {
        "1.png": {"Effusion", "Atelectasis"},
        "2.png": set(),
        "3.png": {"Effusion", "Pneumothorax"},  # no Emphysema
        "6.png": set(),
        "8.png": {"Mass"},
    }
    assert set(cases["2.png"].findings) == {0.0}
    assert np.isnan(cases["6.png"].findings).all()  # "unchanged" refers to an image that the table does not name
    assert (cases["3.png"].sex, cases["3.png"].age, cases["3.png"].view) == ("F", 84.0, "AP")
    assert cases["2.png"].view == "AP"


def test_frequent_terms_without_a_name_in_chestxray14_are_labels_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MIN_IMAGES", 2)
    folder = padchest(tmp_path, ROWS)
    labels = {read(folder, split, 32).labels for split in ("train", "val", "test")}
    assert labels == {(*LABELS, "scoliosis")}
    assert present(every_case(folder)["8.png"], (*LABELS, "scoliosis")) == {"Mass", "scoliosis"}


def test_16_bit_values_are_scaled_by_their_range(tmp_path: Path) -> None:
    folder = padchest(tmp_path, ROWS[:1])
    file = folder / "0/1.png"
    values = noise(32, 32, 16)
    Image.fromarray(values).save(file)
    with Image.open(file) as image:
        assert image.mode == "I;16"
    (canvas,) = (source[0].canvas for source in of_all_splits(folder) if len(source))
    np.testing.assert_allclose(canvas[0], values / 65535, atol=1e-6)
    assert canvas.max() > 0.9


def of_all_splits(folder: Path) -> list[Radiographs]:
    return [read(folder, split, 32) for split in ("train", "val", "test")]


@pytest.mark.parametrize(
    ("study", "birth", "years"),
    [
        ("20140915", "1930.0", 84.0),
        ("20140915", "1930", 84.0),
        ("", "1930", None),
        ("20140915", "", None),
        ("20140915", "2020", None),
        ("20140915", "1700", None),
    ],
)
def test_the_age_is_the_difference_of_the_years(study: str, birth: str, years: float | None) -> None:
    assert age(study, birth) == years


@pytest.mark.parametrize("labels", ["nodule", "{'nodule': 1}", "['nodule'"])
def test_labels_that_are_no_list_are_an_error(tmp_path: Path, labels: str) -> None:
    with pytest.raises(TrainingError, match=r"line 2: Labels must be a list"):
        read(padchest(tmp_path, [padchest_row("1.png", "a", labels)]), "train", 32)


def test_every_term_means_a_finding_of_chestxray14() -> None:
    assert {label for labels in TERMS.values() for label in labels} == set(LABELS)


def test_an_unchanged_finding_that_is_named_is_present() -> None:
    values = dict(zip(LABELS, reader.findings(frozenset({"unchanged", "nodule"}), LABELS), strict=True))
    np.testing.assert_equal(values, dict.fromkeys(LABELS, nan) | {"Nodule": 1.0})
