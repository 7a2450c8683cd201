import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from model.labels import LABELS
from tests.training.data_sets import chexpert, picture
from tests.training.folder import folder
from training.data import chestxray14, folder_dataset
from training.data import chexpert as chexpert_reader
from training.data.sources import canvases, joined_canvases, population, read
from training.errors import TrainingError

ONLY_NIH = set(LABELS) - set(chexpert_reader.LABELS)


def test_the_table_that_is_there_says_what_a_folder_is(published: Path, tmp_path: Path) -> None:
    own = folder(tmp_path / "own")
    assert read(published, "val", 32) == chestxray14.read(published, "val", 32)
    assert read(own, "val", 32) == folder_dataset.read(own, "val", 32)


def test_the_first_of_the_published_tables_is_one_too(published: Path) -> None:
    (published / "Data_Entry_2017_v2020.csv").rename(published / "Data_Entry_2017.csv")
    assert len(read(published, "val", 32)) == 8


def test_a_folder_of_neither_form_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no Data_Entry_2017_v2020\.csv or .* PadChest, .* no labels\.csv"):
        read(tmp_path, "train", 32)


def test_canvases_of_one_s_own_images_come_through_the_cache(tmp_path: Path) -> None:
    own = folder(tmp_path / "own")
    both = canvases(own, "train+val", 32, tmp_path / "cache")
    assert [case.image for case in both.cases] == ["a/1.png", "a/2.jpg", "b/3.dcm"]
    assert both.size == 32


def test_a_split_without_images_is_one_line(tmp_path: Path) -> None:
    own = folder(tmp_path / "own", "image,patient,split", ["4.png,p,train"])
    with pytest.raises(TrainingError, match="no image in split val"):
        canvases(own, "val", 32, tmp_path / "cache")
    shutil.rmtree(own)


def test_a_single_folder_is_as_it_always_was(published: Path, tmp_path: Path) -> None:
    one = joined_canvases([published], "val", 32, tmp_path / "cache")
    same = canvases(published, "val", 32, tmp_path / "cache")
    assert (one.name, one.cases, one.labels) == (same.name, same.cases, same.labels)
    np.testing.assert_array_equal(one.rows, same.rows)


def test_labels_of_several_data_sets_are_unknown_where_a_set_has_none(published: Path, tmp_path: Path) -> None:
    other = chexpert(tmp_path / "stanford")
    cache = tmp_path / "cache"
    both = joined_canvases([other, published], "test", 32, cache)
    assert both.labels == (*LABELS, *chexpert_reader.LABELS[7:])
    assert len(both) == 2 + 8
    assert both.name == "stanford test + tiny test"
    np.testing.assert_array_equal(np.isnan(both.targets[:2]).all(0), [label in ONLY_NIH for label in both.labels])
    np.testing.assert_array_equal(both.targets[2:, :14], canvases(published, "test", 32, cache).targets)
    assert np.isnan(both.targets[2:, 14:]).all()
    assert both.patients[::9] == ("CheXpert/patient64541", "ChestX-ray14/19")
    assert both.cases[0].image == "stanford/valid/patient64541/study1/view1_frontal.jpg"
    assert both.collections[:2] == ("stanford", "stanford")
    assert set(both.collections[2:]) == {"A", "B"}
    alone = canvases(other, "test", 32, cache)
    torch.testing.assert_close(both.read(np.arange(2)), alone.read(np.arange(2)), rtol=0, atol=0)


def nih_for_training(root: Path, patient: int) -> Path:
    """A folder of ChestX-ray14's form with one image and only a training list, as a part of the data set may be."""
    name = f"{patient:08d}_009.png"
    picture(root / "images" / name)
    (root / "Data_Entry_2017_v2020.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"
        f"{name},Mass,9,{patient},50,F,PA\n"
    )
    (root / "train_list.txt").write_text(f"{name}\n")
    return root


def test_folders_of_one_data_set_share_its_patients(published: Path, tmp_path: Path) -> None:
    more = nih_for_training(tmp_path / "more", 3)
    both = joined_canvases([published, more], "train+val", 32, tmp_path / "cache")
    assert (both.cases[-1].image, both.patients[-1]) == ("more/00000003_009.png", "ChestX-ray14/3")
    assert both.patients.count("ChestX-ray14/3") == 3
    assert len(joined_canvases([published, more], "val", 32, tmp_path / "cache")) == 8
    assert population(more) == population(published)


def test_a_patient_in_another_split_of_another_folder_is_refused(published: Path, tmp_path: Path) -> None:
    more = nih_for_training(tmp_path / "more", 19)  # in test of the first
    with pytest.raises(TrainingError, match=r"more: 1 patients of train are in test of .*tiny"):
        joined_canvases([published, more], "train", 32, tmp_path / "cache")


def test_two_folders_of_one_name_are_refused(published: Path, tmp_path: Path) -> None:
    other = folder(tmp_path / "other" / "tiny")
    with pytest.raises(TrainingError, match="two folders are named tiny"):
        joined_canvases([published, other], "train", 32, tmp_path / "cache")


def test_no_folder_with_an_image_in_the_split_is_an_error(tmp_path: Path) -> None:
    parts = [nih_for_training(tmp_path / name, number) for number, name in enumerate("ab")]
    with pytest.raises(TrainingError, match="no image in split test"):
        joined_canvases(parts, "test", 32, tmp_path / "cache")
