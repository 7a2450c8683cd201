from pathlib import Path

import pytest

from training.fit import checkpoint
from training.fit.lineage import all_patients, earlier_training_data, inherited_entries, training_patients


def left(run: Path, data: Path, /, **plan: object) -> Path:
    """The folder of a run that was on all of the train list, unless the plan says otherwise."""
    run.mkdir()
    expected = {"data": str(data), "split": "train", "fold": None, "init": None, "teachers": []}
    checkpoint.write_json(run / "plan.json", expected | plan)
    entry = {"name": "tiny train", "images": 24, "patients": 12, "role": "stages global"}
    checkpoint.write_json(run / "run.json", {"training_data": [entry]})
    return run


def patients(numbers: range) -> set[str]:
    return {str(number) for number in numbers}


def test_everybody_in_a_folder(published: Path) -> None:
    assert all_patients(published) == patients(range(20))


@pytest.mark.parametrize(
    ("plan", "seen"),
    [
        ({}, range(12)),
        ({"split": "train+val"}, range(16)),
        ({"fold": [0, 4]}, range(16)),
        ({"data": "gone"}, range(0)),
    ],
)
def test_whom_a_run_saw(published: Path, tmp_path: Path, plan: dict[str, object], seen: range) -> None:
    assert training_patients(left(tmp_path / "run", published, **plan)) == patients(seen)


def test_whom_the_runs_before_it_saw(published: Path, tmp_path: Path) -> None:
    first = left(tmp_path / "first", published, split="val")
    teacher = left(tmp_path / "teacher", published, split="test")
    run = {"init": str(first / "network.safetensors"), "teachers": [str(teacher)]}
    assert training_patients(left(tmp_path / "run", published, data="gone", **run)) == patients(range(12, 20))


def test_nobody_of_weights_that_no_run_of_ours_made(tmp_path: Path) -> None:
    assert training_patients(tmp_path) == set()
    assert inherited_entries(tmp_path, "pretraining") == []


def test_entries_say_what_each_run_was_for(published: Path, tmp_path: Path) -> None:
    first, teacher = (left(tmp_path / name, published) for name in ("first", "teacher"))
    found = earlier_training_data(first / "network.safetensors", [teacher])
    assert [entry["role"] for entry in found] == ["pretraining, stages global", "teacher, stages global"]
