import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training import checkpoint, predictions
from training.config import TrainConfig
from training.errors import TrainingError
from training.folding import as_served
from training.run import HELD_OUT, Plan, gather, train


@pytest.fixture
def plan(published: Path, tmp_path: Path) -> Plan:
    return Plan(published, tmp_path / "cache")


@pytest.fixture
def quick(small: TrainConfig) -> TrainConfig:
    return replace(small, epochs=(1, 1, 1))


def test_a_run_leaves_weights_document_and_what_was_held_out(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(plan, quick, run, resume=False)
    network, document = checkpoint.load(run)
    assert network.config == quick.network
    assert document["training_data"] == [
        {"name": "tiny train", "images": 24, "patients": 12, "role": "stages global, local, fusion"}
    ]
    assert document["config"]["epochs"] == [1, 1, 1]
    held_out = predictions.load(run / HELD_OUT)
    assert len(held_out) == 8
    again = predictions.predict(as_served(network), gather(plan, quick).held_out)  # type: ignore[arg-type]
    np.testing.assert_allclose(again.logits, held_out.logits, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(plan, quick, tmp_path / name, resume=False)
    one, two = ((tmp_path / name / checkpoint.WEIGHTS).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_finished_run_is_left_alone(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(plan, quick, run, resume=False)
    before = (run / checkpoint.WEIGHTS).stat().st_mtime_ns
    train(plan, quick, run, resume=True)
    assert (run / checkpoint.WEIGHTS).stat().st_mtime_ns == before


def test_a_folder_of_another_run_is_refused(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(plan, quick, run, resume=False)
    with pytest.raises(TrainingError, match="--resume"):
        train(plan, quick, run, resume=False)
    with pytest.raises(TrainingError, match="another configuration"):
        train(plan, replace(quick, seed=8), run, resume=True)
    with pytest.raises(TrainingError, match="another configuration"):
        train(replace(plan, split="train+val"), quick, run, resume=True)


def test_pretraining_is_handed_on_and_remembered(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    first, second = tmp_path / "pretrain", tmp_path / "run"
    train(plan, replace(quick, stages=("global",)), first, resume=False)
    init = first / checkpoint.WEIGHTS
    train(replace(plan, init=init), replace(quick, stages=("fusion",)), second, resume=False)
    before, after = (checkpoint.load(run)[0].global_branch.state_dict() for run in (first, second))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    roles = [entry["role"] for entry in json.loads((second / checkpoint.DOCUMENT).read_text())["training_data"]]
    assert roles == ["pretraining, stages global", "stages fusion"]


def test_a_fold_holds_out_patients_of_train_and_val(plan: Plan, quick: TrainConfig) -> None:
    held = []
    for number in range(3):
        data = gather(replace(plan, fold=(number, 3)), quick)
        assert data.held_out is not None
        assert len(data.train) + len(data.held_out) == 32
        assert not set(data.train.patients) & set(data.held_out.patients)
        held += [case.image for case in data.held_out.cases]
    assert len(set(held)) == 32


def test_train_and_val_together_hold_out_nothing(plan: Plan, quick: TrainConfig) -> None:
    data = gather(replace(plan, split="train+val"), quick)
    assert len(data.train) == 32
    assert data.held_out is None
