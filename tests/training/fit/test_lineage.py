from pathlib import Path

import pytest

from tests.training.folder import folder
from training.fit import checkpoint
from training.fit.lineage import all_patients, earlier_training_data, inherited_entries, training_patients


def left(run: Path, data: Path, /, **plan: object) -> Path:
    """The folder of a run, trained on the whole train list unless `plan` changes that."""
    run.mkdir()
    expected = {"data": str(data), "split": "train", "fold": None, "init": None, "teachers": []}
    checkpoint.write_json(run / "plan.json", expected | plan)
    entry = {"name": "tiny train", "images": 24, "patients": 12, "role": "stages global"}
    checkpoint.write_json(run / "run.json", {"training_data": [entry]})
    return run


def patients(numbers: range) -> set[str]:
    """Names of these patients in a run on one folder, and in one on several."""
    return {name for number in numbers for name in (str(number), f"ChestX-ray14/{number}")}


def test_all_patients_of_a_folder(published: Path) -> None:
    assert all_patients(published) == patients(range(20))


@pytest.mark.parametrize(
    ("plan", "trained"),
    [
        ({}, range(12)),
        ({"split": "train+val"}, range(16)),
        ({"fold": [0, 4]}, range(16)),
        ({"data": "gone"}, range(0)),
    ],
)
def test_training_patients_of_a_run(published: Path, tmp_path: Path, plan: dict[str, object], trained: range) -> None:
    assert training_patients(left(tmp_path / "run", published, **plan)) == patients(trained)


def test_training_patients_include_those_of_earlier_runs(published: Path, tmp_path: Path) -> None:
    first = left(tmp_path / "first", published, split="val")
    teacher = left(tmp_path / "teacher", published, split="test")
    run = {"init": str(first / "network.safetensors"), "teachers": [str(teacher)]}
    assert training_patients(left(tmp_path / "run", published, data="gone", **run)) == patients(range(12, 20))


def test_training_patients_of_a_run_on_several_folders(published: Path, tmp_path: Path) -> None:
    own = folder(tmp_path / "own")  # p1 is in train, p2 in val
    run = left(tmp_path / "run", published, further=[str(own)], split="train+val")
    assert training_patients(run) == patients(range(16)) | {"p1", "own/p1", "p2", "own/p2"}


def test_weights_of_other_projects_have_no_known_patients(tmp_path: Path) -> None:
    assert training_patients(tmp_path) == set()
    assert inherited_entries(tmp_path, "pretraining") == []


def test_entries_have_the_role_of_each_run(published: Path, tmp_path: Path) -> None:
    first, teacher = (left(tmp_path / name, published) for name in ("first", "teacher"))
    entries = earlier_training_data(first / "network.safetensors", [teacher])
    assert [entry["role"] for entry in entries] == ["pretraining, stages global", "teacher, stages global"]
