import gzip
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.labels import LABELS
from training.data.chestxray14 import findings, image_paths, is_validation, read, records, split_cases
from training.data.sample import targets
from training.errors import TrainingError


def test_a_sample_has_the_values_of_the_tables(published: Path) -> None:
    source = read(published, "test", 64)
    sample = source[0]
    assert (sample.case.image, sample.case.patient) == ("00000016_000.png", "16")
    assert {LABELS[index] for index in np.flatnonzero(sample.case.findings)} == {LABELS[32 % 14], LABELS[37 % 14]}
    assert sample.canvas.shape == (1, 64, 64)
    stored = np.asarray(Image.open(published / "images" / sample.case.image))
    np.testing.assert_allclose(sample.canvas[0], stored / 255, atol=1e-6)


def test_boxes_are_shares_of_the_published_side_under_the_label_s_own_name(published: Path) -> None:
    assert read(published, "test", 64)[0].case.boxes == {
        "Infiltration": ((0.25, 0.5, 0.375, 1.0), (0.0, 0.0, 0.0625, 0.0625))
    }


def test_tables_that_went_through_a_spreadsheet_are_the_same(published: Path) -> None:
    before = read(published, "test", 64)
    canvas = before[0].canvas
    for file in (*published.glob("*.csv"), *published.glob("*.txt")):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    for picture in (published / "images").iterdir():
        picture.rename(picture.with_suffix(".PNG"))
    after = read(published, "test", 64)
    assert after.cases == before.cases
    np.testing.assert_array_equal(after[0].canvas, canvas)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("Data_Entry_2017_v2020.csv", "Patient ID"),
        ("Data_Entry_2017_v2020.csv", "View Position"),
        ("collections.csv", "collection"),
    ],
)
def test_a_missing_column_is_named(published: Path, table: str, column: str) -> None:
    file = published / table
    file.write_text(file.read_text().replace(column, "else", 1))
    with pytest.raises(TrainingError, match=f"{table}, line 2: no value in column {column}"):
        read(published, "test", 64)


def test_a_broken_row_is_named(published: Path) -> None:
    file = published / "Data_Entry_2017_v2020.csv"
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines[:4], "00000001_001.png,Mass"]))
    with pytest.raises(TrainingError, match="line 5: no value in column Patient ID"):
        read(published, "test", 64)


@pytest.mark.parametrize("row", ["a.png,Mass,1,2,3", "a.png,Mass,1,2,3,wide"])
def test_an_invalid_box_is_named(published: Path, row: str) -> None:
    (published / "BBox_List_2017.csv").write_text(f"Image Index,Finding Label,Bbox [x,y,w,h]\n{row}\n")
    with pytest.raises(TrainingError, match="BBox_List_2017"):
        read(published, "test", 64)


def test_a_file_replaced_by_one_of_equal_size_is_noticed(published: Path) -> None:
    before = read(published, "test", 64)
    assert read(published, "test", 64).keys == before.keys
    stat = before.paths[0].stat()
    os.utime(before.paths[0], ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert read(published, "test", 64).keys[0] != before.keys[0]
    assert read(published, "test", 64).keys[1:] == before.keys[1:]


def test_no_finding_is_a_target_of_zeros() -> None:
    assert findings("No Finding") == (0.0,) * 14


def test_an_unknown_finding_is_refused() -> None:
    with pytest.raises(TrainingError, match="unknown finding 'Efusion'"):
        findings("Mass|Efusion")


@pytest.mark.parametrize(("split", "count"), [("train", 24), ("val", 8), ("test", 8), ("train+val", 32)])
def test_splits(published: Path, split: str, count: int) -> None:
    assert len(read(published, split, 64)) == count


def test_the_published_train_val_list_is_supported(published: Path) -> None:
    both = (published / "train_list.txt").read_text() + (published / "val_list.txt").read_text()
    (published / "train_val_list.txt").write_text(both)
    for name in ("train_list.txt", "val_list.txt"):
        (published / name).unlink()
    assert len(read(published, "train+val", 64)) == 32
    parts = [read(published, split, 64).cases for split in ("train", "val")]
    assert sum(map(len, parts)) == 32
    assert not {case.patient for case in parts[0]} & {case.patient for case in parts[1]}


def test_one_in_eight_patients_of_the_published_list_is_for_validation() -> None:
    share = np.mean([is_validation(str(number)) for number in range(1, 30_806)])
    assert share == pytest.approx(1 / 8, abs=0.01)


def test_a_folder_without_lists_gives_one_line(published: Path) -> None:
    for name in ("train_list.txt", "val_list.txt"):
        (published / name).unlink()
    with pytest.raises(TrainingError, match=r"no train_list\.txt, nor train_val_list\.txt"):
        read(published, "train", 64)


def test_an_unknown_split_is_refused(published: Path) -> None:
    with pytest.raises(TrainingError, match="expected one of train, val"):
        read(published, "dev", 64)


def test_tables_and_lists_may_be_gzipped(published: Path) -> None:
    plain = read(published, "test", 64)
    for name in ("Data_Entry_2017_v2020.csv", "BBox_List_2017.csv", "test_list.txt"):
        with (published / name).open("rb") as source, gzip.open(published / f"{name}.gz", "wb") as target:
            shutil.copyfileobj(source, target)
        (published / name).unlink()
    assert read(published, "test", 64).cases == plain.cases


def test_the_first_table_is_supported_with_its_ages(published: Path) -> None:
    table = published / "Data_Entry_2017_v2020.csv"
    (published / "Data_Entry_2017.csv").write_text(table.read_text().replace(",50,F,", ",058Y,F,"))
    table.unlink()
    assert {case.age for case in records(published)} == {58.0}


def test_cases_need_no_images(published: Path) -> None:
    shutil.rmtree(published / "images")
    assert split_cases(published, "val")[0].image == "00000012_000.png"


def test_an_image_that_cannot_be_read_is_named_with_the_service_s_code(published: Path) -> None:
    (published / "images" / "00000012_000.png").write_bytes(b"no picture")
    with pytest.raises(TrainingError, match=r"^00000012_000\.png: image_unreadable"):
        read(published, "val", 64)[0]


def test_images_are_found_by_stem_in_the_published_folders(published: Path) -> None:
    for number, path in enumerate(sorted((published / "images").iterdir())):
        folder = published / f"images_{number % 3 + 1:03d}" / "images"
        folder.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(folder / f"{path.stem}.jpg")
    shutil.rmtree(published / "images")
    assert len(image_paths(published)) == 40
    assert read(published, "val", 64)[0].canvas.shape == (1, 64, 64)


def test_missing_images_are_one_error_that_counts_them(published: Path) -> None:
    for name in ("00000012_000.png", "00000013_001.png"):
        (published / "images" / name).unlink()
    with pytest.raises(TrainingError, match=r"2 of 8 images of the val list .* first: 00000012_000\.png"):
        read(published, "val", 64)


def test_a_listed_image_without_a_row_is_an_error(published: Path) -> None:
    with (published / "val_list.txt").open("a") as file:
        file.write("00099999_000.png\n")
    with pytest.raises(TrainingError, match=r"1 of 9 .* not in the published table"):
        read(published, "val", 64)


def test_a_patient_in_two_lists_is_refused(published: Path) -> None:
    with (published / "test_list.txt").open("a") as file:
        file.write("00000000_001.png\n")
    with pytest.raises(TrainingError, match=r"1 patients of test_list\.txt are in train_list\.txt too"):
        read(published, "val", 64)


def test_a_folder_without_the_table_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"no Data_Entry_2017_v2020\.csv"):
        read(tmp_path, "train", 64)


def test_the_key_depends_on_images_and_size(published: Path) -> None:
    keys = set(read(published, "val", 64).keys)
    assert keys == set(read(published, "val", 64).keys)
    assert len(keys) == 8
    assert not keys & {*read(published, "val", 32).keys, *read(published, "test", 64).keys}


@pytest.mark.realdata
def test_the_whole_published_table(realdata: Path) -> None:
    rows = records(realdata / "chestxray14")
    assert len(rows) == 112_120
    assert len({row.patient for row in rows}) == 30_805
    assert sum(any(row.findings) for row in rows) == 51_759  # the v2020 table; the paper counts 51,708
    counts = targets(rows).sum(0)
    assert counts[LABELS.index("Hernia")] == 227
    assert sum(len(boxes) for row in rows for boxes in row.boxes.values()) == 984


@pytest.fixture
def whole(realdata: Path, tmp_path: Path) -> Path:
    """The published tables, and a widely used 70/10/20 list under this project's names."""
    for name in ("Data_Entry_2017_v2020.csv.gz", "BBox_List_2017.csv.gz"):
        (tmp_path / name).symlink_to(realdata / "chestxray14" / name)
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}_list.txt.gz").symlink_to(realdata / "chestxray14" / f"arnoweng_{split}_list.txt.gz")
    return tmp_path


@pytest.mark.realdata
def test_the_whole_table_is_split_by_patient(whole: Path) -> None:
    splits = {split: split_cases(whole, split) for split in ("train", "val", "test")}
    assert [len(cases) for cases in splits.values()] == [78_468, 11_219, 22_433]  # 112,120
    patients = [{case.patient for case in cases} for cases in splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients))


@pytest.mark.realdata
@pytest.mark.parametrize(("folder", "sizes"), [("nih-subset", (916, 120, 258)), ("nih-128", (7124, 941, 1933))])
def test_the_real_lists(realdata: Path, folder: str, sizes: tuple[int, ...]) -> None:
    sources = [read(realdata / folder, split, 64) for split in ("train", "val", "test")]
    assert tuple(len(source) for source in sources) == sizes
    assert sources[0][0].canvas.std() > 0.05
