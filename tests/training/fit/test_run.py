import json
import re
import shutil
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn, without_second_look
from model.branch import Branch
from tests.training.folder import ROWS, folder
from training.errors import TrainingError
from training.evaluation import predictions
from training.fit import checkpoint
from training.fit.config import TrainConfig, with_changes
from training.fit.lineage import all_patients, training_patients
from training.fit.plan import Plan
from training.fit.run import HELD_OUT, initialise_network, load_data, split_for_selection, train
from training.fit.served_weights import as_served


@pytest.fixture
def plan(published: Path, tmp_path: Path) -> Plan:
    return Plan(published, tmp_path / "cache")


@pytest.fixture
def quick(small: TrainConfig) -> TrainConfig:
    return replace(small, epochs=(1, 1, 1))


def test_a_run_writes_weights_document_and_held_out_predictions(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(plan, quick, run, resume=False)
    network, document = checkpoint.load(run)
    assert network.config == quick.network
    assert document["training_data"] == [
        {"name": "tiny train", "images": 24, "patients": 12, "role": "stages global, local, fusion"}
    ]
    assert document["config"]["epochs"] == [1, 1, 1]
    assert document["trained"] == ["global", "local", "fusion"]
    assert (document["devices"]["threads"], document["devices"]["precision"]) == (1, "32-true")
    assert document["examples"]["Hernia"] == {"present": 3, "absent": 21}
    assert all(0 <= record["auroc"] <= 1 for record in document["history"])
    held_out = predictions.load(run / HELD_OUT)
    assert len(held_out) == 8
    again = predictions.predict(as_served(network), load_data(plan, quick).held_out)  # type: ignore[arg-type]
    np.testing.assert_allclose(again.logits, held_out.logits, atol=1e-5)


def test_the_same_seed_gives_the_same_weights(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    for name in ("one", "two"):
        train(plan, quick, tmp_path / name, resume=False)
    one, two = ((tmp_path / name / checkpoint.WEIGHTS).read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_finished_run_is_not_changed(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
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


def test_pretraining_is_used_and_recorded(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    first, second = tmp_path / "pretrain", tmp_path / "run"
    train(plan, replace(quick, stages=("global",)), first, resume=False)
    alone, document = checkpoint.load(first)
    assert document["trained"] == ["global"]
    output = alone(torch.rand(2, 1, 64, 64))
    torch.testing.assert_close(output.fusion, output.global_, atol=1e-5, rtol=1e-5)
    assert torch.equal(alone.local_branch.classifier.weight, alone.global_branch.classifier.weight)
    init = first / checkpoint.WEIGHTS
    train(replace(plan, init=init), replace(quick, stages=("fusion",)), second, resume=False)
    assert checkpoint.load(second)[1]["trained"] == ["global", "fusion"]
    before, after = (checkpoint.load(run)[0].global_branch.state_dict() for run in (first, second))
    assert all(np.array_equal(before[name], after[name]) for name in before)
    roles = [entry["role"] for entry in json.loads((second / checkpoint.DOCUMENT).read_text())["training_data"]]
    assert roles == ["pretraining, stages global", "stages fusion"]


def test_a_fold_holds_out_patients_of_train_and_val(plan: Plan, quick: TrainConfig) -> None:
    held = []
    for number in range(3):
        data = load_data(replace(plan, fold=(number, 3)), quick)
        assert data.held_out is not None
        assert len(data.train) + len(data.held_out) == 32
        assert not set(data.train.patients) & set(data.held_out.patients)
        held += [case.image for case in data.held_out.cases]
    assert len(set(held)) == 32


def test_held_out_images_of_a_fold_do_not_select_epochs(plan: Plan, quick: TrainConfig) -> None:
    part, config = replace(plan, fold=(0, 3)), replace(quick, select="best")
    data = load_data(part, config)
    split = split_for_selection(data, part, config)
    assert data.held_out is not None
    assert split.held_out is not None
    people = [set(images.patients) for images in (split.train, split.held_out, data.held_out)]
    assert [len(each & other) for each, other in combinations(people, 2)] == [0, 0, 0]
    assert len(split.train) + len(split.held_out) == len(data.train)
    assert split_for_selection(data, part, quick).held_out is None
    assert split_for_selection(data, plan, config) is split_for_selection(data, plan, quick) is data


def test_more_folds_than_patients_are_refused(plan: Plan, quick: TrainConfig) -> None:
    with pytest.raises(TrainingError, match="fold: 16 patients are too few for 40 folds"):
        load_data(replace(plan, fold=(39, 40)), quick)


def test_patients_of_another_folder_can_be_left_out(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(plan.data, other)
    for name, lines in (("train", slice(8)), ("val", slice(0)), ("test", slice(0))):
        few = (other / f"{name}_list.txt").read_text().splitlines()[lines]
        (other / f"{name}_list.txt").write_text("\n".join(few))
    without = replace(plan, without=other)
    data = load_data(without, quick)
    assert len(data.train) == 16
    assert not set(data.train.patients) & all_patients(other)
    short = replace(quick, stages=("global",))
    train(without, short, tmp_path / "run", resume=False)
    _, document = checkpoint.load(tmp_path / "run")
    assert document["training_data"][0]["name"] == "tiny train without other"
    assert {name for name in training_patients(tmp_path / "run") if "/" not in name} == set(data.train.patients)
    with pytest.raises(TrainingError, match="no image is left"):
        load_data(replace(plan, without=plan.data), quick)


def test_held_out_patients_of_the_starting_weights_are_reported(
    plan: Plan, quick: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = replace(quick, stages=("global",))
    train(plan, short, tmp_path / "first", resume=False)
    assert "was trained" not in capsys.readouterr().out
    init = tmp_path / "first" / checkpoint.WEIGHTS
    train(replace(plan, init=init, fold=(0, 2)), short, tmp_path / "second", resume=False)
    count = int(capsys.readouterr().out.split("excluded from scores: ")[1].splitlines()[0])
    held_out = predictions.load(tmp_path / "second" / HELD_OUT).patients
    assert count == len({*held_out} & set(load_data(plan, short).train.patients)) > 0


def test_a_plan_may_change_until_something_is_trained(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    run, short = tmp_path / "run", replace(quick, stages=("global",))
    with pytest.raises(TrainingError, match="no Data_Entry"):
        train(replace(plan, data=tmp_path), short, run, resume=False)
    train(plan, short, run, resume=False)
    (run / checkpoint.DOCUMENT).unlink()
    with pytest.raises(TrainingError, match=r"another configuration \(seed\)"):
        train(plan, replace(short, seed=8), run, resume=True)


def test_an_invalid_network_is_refused_before_anything_is_read(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="canvas_size must be a multiple"):
        train(plan, replace(quick, canvas_size=65), tmp_path / "run", resume=False)
    checkpoint.save_weights(tmp_path / "trunk.safetensors", Branch("resnet50", 3))
    with pytest.raises(TrainingError, match="weights of squeezenet1_1"):
        train(replace(plan, init=tmp_path / "trunk.safetensors"), quick, tmp_path / "run", resume=False)
    assert not plan.cache.exists()


def test_a_folder_without_a_finding_is_refused_before_anything_is_decoded(
    plan: Plan, quick: TrainConfig, tmp_path: Path
) -> None:
    table = plan.data / "Data_Entry_2017_v2020.csv"
    table.write_text("\n".join(re.sub(r"(png),[^,]+", r"\1,No Finding", row) for row in table.read_text().split("\n")))
    with pytest.raises(TrainingError, match="tiny train: no image has a finding"):
        train(plan, quick, tmp_path / "run", resume=False)
    assert not plan.cache.exists()


def test_a_folder_with_blank_labels_is_refused(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    blank = folder(tmp_path / "blank", rows=[row.rsplit(",", 2)[0] + ",u," for row in ROWS])
    with pytest.raises(TrainingError, match="blank train: no label is known for any image"):
        train(replace(plan, data=blank), quick, tmp_path / "run", resume=False)


def test_a_test_list_with_a_missing_image_is_refused_before_training(
    plan: Plan, quick: TrainConfig, tmp_path: Path
) -> None:
    next((plan.data / "images").glob("00000016_*")).unlink()
    with pytest.raises(TrainingError, match="1 of 8 images of the test list are not in the image folders"):
        train(plan, quick, tmp_path / "run", resume=False)
    assert not plan.cache.exists()


def test_stages_on_a_random_global_branch_are_refused(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    later = replace(quick, stages=("local", "fusion"))
    with pytest.raises(TrainingError, match="stages: local, fusion need a trained global branch"):
        train(plan, later, tmp_path / "run", resume=False)
    checkpoint.save_weights(tmp_path / "trunk.safetensors", Branch("squeezenet1_1", 3))
    with pytest.raises(TrainingError, match="need a trained global branch"):
        train(replace(plan, init=tmp_path / "trunk.safetensors"), later, tmp_path / "run", resume=False)


def test_train_and_val_together_hold_out_nothing(plan: Plan, quick: TrainConfig) -> None:
    data = load_data(replace(plan, split="train+val"), quick)
    assert len(data.train) == 32
    assert data.held_out is None


@pytest.mark.parametrize("second_look", ["init", "global"])
def test_a_published_trunk_goes_into_both_branches(quick: TrainConfig, tmp_path: Path, second_look: str) -> None:
    torch.manual_seed(1)
    checkpoint.save_weights(tmp_path / "trunk.safetensors", Branch("squeezenet1_1", 3))
    torch.manual_seed(2)
    network = Agcnn(quick.network)
    own = network.local_branch.features[0].weight.clone()
    config = with_changes(quick, {"second_look": second_look})
    assert initialise_network(network, tmp_path / "trunk.safetensors", config) == [
        "classifier.bias",
        "classifier.weight",
    ]
    trunk, near = network.global_branch.features[0].weight, network.local_branch.features[0].weight
    assert torch.equal(near, trunk if second_look == "init" else own)
    assert not torch.equal(trunk, own)


def test_a_whole_network_keeps_its_two_branches(quick: TrainConfig, tmp_path: Path) -> None:
    torch.manual_seed(1)
    before = Agcnn(quick.network)
    checkpoint.save_weights(tmp_path / "network.safetensors", before)
    network = Agcnn(quick.network)
    assert initialise_network(network, tmp_path / "network.safetensors", replace(quick, second_look="init")) == []
    assert all(torch.equal(tensor, before.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_what_a_network_without_a_second_look_lacks_begins_as_the_global_branch(
    quick: TrainConfig, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    before = Agcnn(quick.network)
    weights = tmp_path / "network.safetensors"
    checkpoint.save_weights(weights, without_second_look(before))
    network = Agcnn(quick.network)
    assert initialise_network(network, weights, replace(quick, second_look="init")) == [
        "local_branch, which begins as the global branch",
        "fusion, which begins as the global branch",
    ]
    own, theirs = network.local_branch.state_dict(), before.global_branch.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in own.items())
    canvas = torch.rand(2, 1, 64, 64)
    outputs = network.eval()(canvas)
    torch.testing.assert_close(outputs.fusion, outputs.global_)


def test_unmatched_names_are_printed(
    plan: Plan, quick: TrainConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint.save_weights(tmp_path / "trunk.safetensors", Branch("squeezenet1_1", 3))
    train(replace(plan, init=tmp_path / "trunk.safetensors"), quick, tmp_path / "run", resume=False)
    output = capsys.readouterr().out
    assert "trunk.safetensors: 2 names did not match\n  classifier.bias\n  classifier.weight\n" in output


def test_teachers_are_used_and_recorded(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    short = replace(quick, stages=("global",))
    train(plan, short, tmp_path / "teacher", resume=False)
    taught = replace(plan, teachers=(tmp_path / "teacher",))
    train(taught, replace(short, distil=0.5), tmp_path / "pupil", resume=False)
    _, document = checkpoint.load(tmp_path / "pupil")
    assert [entry["role"] for entry in document["training_data"]] == ["teacher, stages global", "stages global"]
    pupil, teacher = ((tmp_path / name / checkpoint.WEIGHTS).read_bytes() for name in ("pupil", "teacher"))
    assert pupil != teacher
    with pytest.raises(TrainingError, match="--distil"):
        train(taught, short, tmp_path / "other", resume=False)


def test_a_fifteenth_output_is_trained_and_not_scored(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    train(plan, replace(quick, no_finding=True, select="best"), tmp_path / "run", resume=False)
    network, document = checkpoint.load(tmp_path / "run")
    assert network.fusion.classifier.out_features == 15
    assert all(record["auroc"] is not None for record in document["history"])
    assert predictions.load(tmp_path / "run" / HELD_OUT).logits.shape == (3, 8, 14)


def test_several_folders_are_trained_on_together(plan: Plan, quick: TrainConfig, tmp_path: Path) -> None:
    own = folder(tmp_path / "own")
    both = replace(plan, further=(own,))
    data, alone = load_data(both, quick), load_data(plan, quick)
    assert data.held_out is not None
    assert data.train.collections == (*(case.collection for case in alone.train.cases), "own", "own")
    assert data.train.patients[-3:] == ("ChestX-ray14/11", "own/p1", "own/p1")
    assert data.train.name == "tiny train + own train"
    np.testing.assert_array_equal(data.train.targets[:24], alone.train.targets)
    torch.testing.assert_close(data.train.read(np.arange(24)), alone.train.read(np.arange(24)), rtol=0, atol=0)
    assert data.held_out.patients[-1] == "own/p2"
    without = load_data(replace(both, without=own), quick)
    assert without.train.patients == data.train.patients[:24]
    folds = [load_data(replace(both, fold=(part, 2)), quick) for part in range(2)]
    assert not set(folds[0].train.patients) & set(folds[1].train.patients)
    assert sum(len(fold.train) for fold in folds) == 32 + 3
