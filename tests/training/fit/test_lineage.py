from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.training.folder import folder
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit.config import STAGES, TrainConfig
from training.fit.lineage import (
    all_patients,
    earlier_training_data,
    inherited_entries,
    inherited_stages,
    require_global,
    require_trained,
    trained_stages,
    training_patients,
)


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


def written_before(run: Path, stages: list[str], init: Path | None = None) -> Path:
    """The folder of a run of an earlier version, whose document does not tell what was trained; returns its weights."""
    run.mkdir()
    checkpoint.write_json(run / "plan.json", {"init": init and str(init)})
    checkpoint.write_json(run / "run.json", {"config": {"stages": stages}})
    return whole(run / "network.safetensors")


def whole(path: Path) -> Path:
    """A file with the names of a whole network."""
    save_file({f"{part}.weight": torch.zeros(1) for part in ("global_branch", "local_branch", "fusion")}, path)
    return path


def test_the_stages_of_earlier_runs_are_those_of_the_run_and_its_start(tmp_path: Path) -> None:
    first = written_before(tmp_path / "first", ["global"])
    second = written_before(tmp_path / "second", ["fusion"], first)
    assert inherited_stages(first) == {"global"}
    assert inherited_stages(second) == {"global", "fusion"}
    require_trained(tmp_path / "second")
    with pytest.raises(TrainingError, match="first: stage fusion was never trained, so its weights are random"):
        require_trained(tmp_path / "first")


def test_a_run_that_names_its_trained_stages_is_accepted(tmp_path: Path) -> None:
    checkpoint.write_json(tmp_path / "run.json", {"trained": ["global"], "config": {"stages": ["global"]}})
    require_trained(tmp_path)
    assert trained_stages(tmp_path) == {"global"}


def test_a_network_without_a_run_counts_as_trained_and_a_backbone_does_not(tmp_path: Path) -> None:
    assert inherited_stages(whole(tmp_path / "start.safetensors")) == set(STAGES)
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "trunk.safetensors")
    assert inherited_stages(tmp_path / "trunk.safetensors") == set()
    assert inherited_stages(None) == set()
    require_trained(tmp_path)


def test_the_weights_after_a_stage_have_no_later_one(tmp_path: Path) -> None:
    written_before(tmp_path / "run", list(STAGES))
    assert inherited_stages(whole(tmp_path / "run" / "local.safetensors")) == {"global", "local"}


def test_a_trained_global_branch_is_required() -> None:
    later = TrainConfig(stages=("fusion",))
    assert require_global(later, {"global"}) == {"global", "fusion"}
    with pytest.raises(TrainingError, match="stages: fusion need a trained global branch"):
        require_global(later, {"local"})
