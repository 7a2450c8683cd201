import re
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn, AgcnnConfig
from training import checkpoint
from training.errors import TrainingError

CONFIG = AgcnnConfig(canvas_size=64, input_size=32, pooling="average")


def test_a_run_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    network = Agcnn(CONFIG)
    checkpoint.save(tmp_path, network, {"note": "here"})
    found, document = checkpoint.load(tmp_path)
    assert found.config == CONFIG
    assert not found.training
    assert document["note"] == "here"
    assert re.fullmatch("[0-9a-f]{40}|unknown", document["commit"])
    canvas = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(found(canvas).fusion, network.eval()(canvas).fusion, rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.safetensors", "run.json"]


def test_an_unfinished_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run\.json: no finished run"):
        checkpoint.load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    checkpoint.save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(TrainingError, match="weights of another network"):
        checkpoint.initialise(Agcnn(CONFIG), tmp_path / "w.safetensors")
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(TrainingError, match="not readable"):
        checkpoint.initialise(Agcnn(CONFIG), tmp_path / "w.safetensors")


def test_a_trunk_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    first = {"features.0.weight": np.zeros((64, 3, 3, 3), "f4"), "features.0.bias": np.zeros(64, "f4")}
    np.savez(tmp_path / "trunk.npz", **first)
    with pytest.raises(TrainingError, match="weights do not fit the backbone"):
        checkpoint.initialise(Agcnn(CONFIG), tmp_path / "trunk.npz")


def test_a_document_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_plain_is_what_json_gives_back() -> None:
    assert checkpoint.plain({"a": (1, 2), "b": Path("x")}) == {"a": [1, 2], "b": "x"}


@pytest.mark.realdata
def test_the_published_trunk_loads(realdata: Path) -> None:
    network = Agcnn(CONFIG)
    before = {name: tensor.clone() for name, tensor in network.global_branch.state_dict().items()}
    checkpoint.initialise(network, realdata / "weights" / "squeezenet1_1_imagenet.npz")
    after = network.global_branch.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert same == {"classifier.weight", "classifier.bias"}


def test_a_commit_is_named_only_for_the_sources_it_holds(tmp_path: Path) -> None:
    source = tmp_path / "model" / "net.py"
    source.parent.mkdir()
    source.write_text("one")
    assert checkpoint.commit(tmp_path) == "unknown"
    checkpoint.git(tmp_path, "init", "--quiet")
    checkpoint.git(tmp_path, "add", ".")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    checkpoint.git(tmp_path, *identity, "commit", "--quiet", "--message", "one")
    assert re.fullmatch("[0-9a-f]{40}", checkpoint.commit(tmp_path))
    source.write_text("two")
    assert checkpoint.commit(tmp_path) == "unknown"
