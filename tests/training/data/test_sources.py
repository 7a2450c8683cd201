import shutil
from pathlib import Path

import pytest

from tests.training.folder import folder
from training.data import chestxray14, folder_dataset
from training.data.sources import canvases, read
from training.errors import TrainingError


def test_the_table_that_is_there_says_what_a_folder_is(published: Path, tmp_path: Path) -> None:
    own = folder(tmp_path / "own")
    assert read(published, "val", 32) == chestxray14.read(published, "val", 32)
    assert read(own, "val", 32) == folder_dataset.read(own, "val", 32)


def test_the_first_of_the_published_tables_is_one_too(published: Path) -> None:
    (published / "Data_Entry_2017_v2020.csv").rename(published / "Data_Entry_2017.csv")
    assert len(read(published, "val", 32)) == 8


def test_a_folder_of_neither_form_is_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no Data_Entry_2017_v2020\.csv or .* no labels\.csv"):
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
