from pathlib import Path

import numpy as np
import pytest

from model.labels import LABELS
from tests.training.cases import cases
from training.errors import TrainingError
from training.evaluation.comparison import read_table, read_tables
from training.evaluation.scores import UNCALIBRATED

CASES = cases(np.zeros((3, 14)))


def write(path: Path, rows: dict[str, list[object]], image: str = "image", prefix: str = "") -> Path:
    lines = [",".join([image, *(prefix + label for label in LABELS)])]
    lines += [",".join([name, *map(str, values)]) for name, values in rows.items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def table(*names: str) -> dict[str, list[object]]:
    return {name: [(row + column) / 20 for column in range(14)] for row, name in enumerate(names)}


@pytest.mark.parametrize(("image", "prefix"), [("image", ""), ("Image Index", "prob_"), ("image", "prob_")])
def test_scores_are_put_in_the_order_of_the_cases(tmp_path: Path, image: str, prefix: str) -> None:
    reading = read_table(write(tmp_path / "other.csv", table("2", "another", "0", "1"), image, prefix), CASES, LABELS)
    assert reading.name == "other"
    np.testing.assert_allclose(reading.scores[:, 0], [0.1, 0.15, 0.0])
    np.testing.assert_array_equal(reading.probabilities[UNCALIBRATED], reading.scores)


def test_blanks_and_byte_order_mark_are_not_part_of_a_name(tmp_path: Path) -> None:
    plain = write(tmp_path / "x.csv", table("0", "1", "2"))
    lines = [" , ".join(line.split(",")) + " " for line in plain.read_text().splitlines()]
    (tmp_path / "y.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    np.testing.assert_array_equal(
        read_table(tmp_path / "y.csv", CASES, LABELS).scores, read_table(plain, CASES, LABELS).scores
    )


def test_columns_may_have_any_order(tmp_path: Path) -> None:
    names = ["Hernia", "image", *reversed(LABELS[:-1])]
    rows = [
        ",".join("7" if name == "Hernia" else case if name == "image" else "0.5" for name in names) for case in "012"
    ]
    (tmp_path / "x.csv").write_text("\n".join([",".join(names), *rows]))
    reading = read_table(tmp_path / "x.csv", CASES, LABELS)
    np.testing.assert_array_equal(reading.scores[:, 13], 7)
    assert reading.probabilities == {}  # 7 is a score, not a probability


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (table("0"), "2 of 3 images are not in it, first: 1"),
        (table("0", "1", "2") | {"1": ["", *[0.5] * 13]}, "1 of 3 images have a value that is not a number, first: 1"),
        (
            table("0", "1", "2") | {"2": ["high", *[0.5] * 13]},
            "1 of 3 images have a value that is not a number, first: 2",
        ),
        (table("0", "1", "2") | {"2": [0.5]}, "1 of 3 images"),
    ],
)
def test_missing_images_and_values_are_counted(tmp_path: Path, rows: dict[str, list[object]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_table(write(tmp_path / "x.csv", rows), CASES, LABELS)


def test_an_image_with_two_rows_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", table("0", "1", "2"))
    path.write_text(path.read_text() + path.read_text().splitlines()[1] + "\n")
    with pytest.raises(TrainingError, match="image 0 has two rows"):
        read_table(path, CASES, LABELS)


def test_missing_columns_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no column Image Index or image"):
        read_table(write(tmp_path / "x.csv", table("0"), "file"), CASES, LABELS)
    path = write(tmp_path / "x.csv", table("0"))
    path.write_text(path.read_text().replace("Hernia", "Herniation"))
    with pytest.raises(TrainingError, match="no column for Hernia"):
        read_table(path, CASES, LABELS)


def test_a_missing_or_binary_file_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"absent\.csv"):
        read_table(tmp_path / "absent.csv", CASES, LABELS)
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00image")
    with pytest.raises(TrainingError, match=r"x\.csv"):
        read_table(tmp_path / "x.csv", CASES, LABELS)


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [write(tmp_path / "x.csv", table("0", "1", "2")), write(tmp_path / "b" / "x.csv", table("0", "1", "2"))]
    with pytest.raises(TrainingError, match="name of another"):
        read_tables(paths, CASES, LABELS)
    with pytest.raises(TrainingError, match="name of another"):
        read_tables([write(tmp_path / "fusion.csv", table("0", "1", "2"))], CASES, LABELS)
    assert [reading.name for reading in read_tables(paths[:1], CASES, LABELS)] == ["x"]
