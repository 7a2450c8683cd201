import csv
from pathlib import Path

import numpy as np
import pytest

from model.labels import LABELS
from service.dicom.radiograph import radiograph
from training.data import folder_dataset
from training.data.sample import Case
from training.errors import TrainingError
from training.phantom import cohort
from training.phantom.cohort import Cohort, write
from training.phantom.film import phantom

COHORT = Cohort(5, (256, 256), ("Nodule", "Effusion"), 0.5)


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    assert write(folder, COHORT, 4, 1) == 4
    return folder


def cases(folder: Path) -> dict[str, Case]:
    return {case.image: case for part in folder_dataset.split_cases(folder).values() for case in part}


def test_the_tables_describe_the_phantoms(four: Path) -> None:
    by_image = cases(four)
    assert len(by_image) == 4
    for index, case in enumerate(by_image[name] for name in sorted(by_image)):
        labels = tuple(label for label, value in zip(LABELS, case.findings, strict=True) if value)
        picture = phantom(5, index, 256, labels, 0.5)
        assert (case.sex, case.age, case.view) == (picture.sex, picture.age, picture.view)
        assert case.findings == tuple(picture.target)
        assert set(case.boxes) == set(labels) <= {"Nodule", "Effusion"}
        for label, boxes in case.boxes.items():
            np.testing.assert_allclose(boxes, picture.boxes[label], atol=1e-4)
    assert any(case.boxes for case in by_image.values())


def test_the_service_accepts_every_file_and_shows_the_phantom(four: Path) -> None:
    values = [radiograph(path.read_bytes()).values for path in sorted((four / "images").iterdir())]
    assert {value.shape for value in values} == {(256, 256)}
    labels = tuple(label for label in LABELS if cases(four)["phantom_000000.dcm"].findings[LABELS.index(label)])
    np.testing.assert_allclose(values[0], phantom(5, 0, 256, labels, 0.5).values, atol=1 / 3000)


def test_patients_are_in_one_split(four: Path) -> None:
    rows = list(csv.DictReader((four / "labels.csv").read_text().splitlines()))
    assert len({row["patient"] for row in rows}) == 3
    assert len({(row["patient"], row["split"]) for row in rows}) == 3


def test_an_interrupted_cohort_is_completed_with_the_same_bytes(
    four: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort, "CHUNK", 2)
    drawn: list[int] = []
    draw = cohort.draw

    def failing(folder: Path, of: Cohort, index: int) -> Case:
        drawn.append(index)
        if drawn == [0, 1, 2]:
            raise KeyboardInterrupt
        return draw(folder, of, index)

    monkeypatch.setattr(cohort, "draw", failing)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, COHORT, 4, 1)
    assert len(cases(tmp_path)) == 2
    (tmp_path / "images" / "phantom_000001.dcm").unlink()
    assert write(tmp_path, COHORT, 4, 1) == 4
    assert drawn == [0, 1, 2, 1, 2, 3]
    assert everything(tmp_path) == everything(four)


def test_several_processes_draw_the_same_phantoms(four: Path, tmp_path: Path) -> None:
    write(tmp_path, COHORT, 4, 2)
    assert everything(tmp_path) == everything(four)


def test_a_smaller_count_removes_nothing(four: Path) -> None:
    assert write(four, COHORT, 2, 1) == 4


def test_another_cohort_or_other_data_is_refused(four: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has other parameters"):
        write(four, Cohort(6, (256, 256), ("Nodule", "Effusion"), 0.5), 4, 1)
    (tmp_path / "labels.csv").touch()
    with pytest.raises(TrainingError, match="contains other data"):
        write(tmp_path, COHORT, 4, 1)


@pytest.mark.parametrize("findings", [(), ("Nodul",)])
def test_findings_are_of_the_fourteen(findings: tuple[str, ...]) -> None:
    with pytest.raises(TrainingError, match="expected some of Atelectasis"):
        Cohort(0, (256, 256), findings)


def test_a_box_outside_the_picture_is_left_out(tmp_path: Path) -> None:
    boxes = {"Nodule": ((1.0, 0.5, 1.0, 0.6), (0.1, 0.1, 0.2, 0.2))}
    case = Case("a", "p", (0.0,) * 14, age=50.0, boxes=boxes)
    cohort.write_tables(tmp_path, [case])
    assert (tmp_path / "boxes.csv").read_text().splitlines()[1:] == ["a,Nodule,0.1000,0.1000,0.2000,0.2000"]
