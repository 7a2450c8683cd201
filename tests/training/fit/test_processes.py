"""Several processes train one network."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file

from model.agcnn import Agcnn
from tests.conftest import ROOT
from tests.ports import free_port
from tests.training.fit.two_processes import ONE, TWO, images, trained
from training.evaluation.inference import logits, macro_auroc
from training.fit import checkpoint
from training.fit.loop import LAST
from training.fit.stages import fusion_logits


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the results of two processes."""
    folder = tmp_path_factory.mktemp("two")
    script = Path(__file__).with_name("two_processes.py")
    # Fabric would choose a port that the system may give to another process before it is used.
    port = {"MASTER_PORT": str(free_port())}
    without_gpu = {**os.environ, **port, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(folder / "run")]
    answer = subprocess.run(command, env=without_gpu, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_both_processes_end_with_the_same_weights(together: Path) -> None:
    one, other = (load_file(together / f"process{rank}.safetensors") for rank in (0, 1))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_two_processes_learn_the_same_as_one(together: Path, tmp_path: Path) -> None:
    """Also with unevenly distributed known targets, the mean of their gradients is that of the whole batch."""
    alone = trained(ONE, tmp_path / "run").state_dict()
    both = load_file(together / "process0.safetensors")
    torch.manual_seed(0)
    initial = Agcnn(ONE.network).state_dict()
    for name, tensor in alone.items():
        torch.testing.assert_close(both[name], tensor, atol=1e-5, rtol=1e-4)
    assert max((alone[name] - initial[name]).abs().max().item() for name in alone) > 1e-2


def test_the_score_is_that_of_one_process(together: Path) -> None:
    history = (checkpoint.load_state(together / "run" / LAST) or {})["history"]
    assert [(record["stage"], record["epoch"]) for record in history] == [
        ("global", 0),
        ("global", 1),
        ("local", 0),
        ("local", 1),
        ("fusion", 0),
    ]
    assert all(0 < record["loss"] < 1.5 for record in history)
    network = Agcnn(TWO.network).eval()
    checkpoint.load_weights(together / "process0.safetensors", network)
    scores = logits(Fabric(accelerator="cpu"), lambda canvas: fusion_logits(network, canvas), images())
    assert macro_auroc(scores, images().targets) == history[-1]["auroc"]


def test_the_run_folder_is_written_once(together: Path) -> None:
    assert len((together / "run" / "logs" / "epochs.csv").read_text().splitlines()) == 6
    assert len(list((together / "run" / "logs").glob("events.*"))) == 1
