import re
from pathlib import Path

import pytest
import torch

from model.agcnn import Agcnn, AgcnnConfig
from training.errors import TrainingError
from training.fit import checkpoint

CONFIG = AgcnnConfig(canvas_size=64, input_size=32, pooling="average")


def test_a_run_is_rebuilt_from_its_folder(tmp_path: Path) -> None:
    network = Agcnn(CONFIG)
    checkpoint.save(tmp_path, network, {"note": "here"})
    loaded, document = checkpoint.load(tmp_path)
    assert loaded.config == CONFIG
    assert not loaded.training
    assert document["note"] == "here"
    assert re.fullmatch("[0-9a-f]{40}|unknown", document["commit"])
    canvas = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(loaded(canvas).fusion, network.eval()(canvas).fusion, rtol=0, atol=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network.safetensors", "run.json"]


def test_an_unfinished_run_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"run\.json: not a finished run"):
        checkpoint.load(tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    checkpoint.save_weights(tmp_path / "w.safetensors", torch.nn.Linear(2, 2))
    with pytest.raises(TrainingError, match="weights of another network"):
        checkpoint.load_weights(tmp_path / "w.safetensors", Agcnn(CONFIG))
    (tmp_path / "w.safetensors").write_bytes(b"no")
    with pytest.raises(TrainingError, match="not readable"):
        checkpoint.load_weights(tmp_path / "w.safetensors", Agcnn(CONFIG))


def test_a_document_never_holds_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        checkpoint.write_json(tmp_path / "x.json", {"value": float("nan")})
    assert not (tmp_path / "x.json").exists()


def test_plain_equals_what_is_read_back_from_json() -> None:
    assert checkpoint.plain({"a": (1, 2), "b": Path("x")}) == {"a": [1, 2], "b": "x"}


def test_a_commit_is_unknown_if_the_sources_differ(tmp_path: Path) -> None:
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
