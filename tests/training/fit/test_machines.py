"""Two machines train one network, as torchrun starts them; here both are this one."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.ports import free_port
from training.fit import checkpoint
from training.fit.loop import LAST

OPTIONS = ["--canvas-size", "64", "--input-size", "32", "--threads", "1", "--workers", "0", "--precision", "32-true"]
STAGES = ["--stages", "global,fusion", "--epochs", "4,1,1", "--batches", "4,4,4", "--devices", "1", "--num-nodes", "2"]
AGCNN = [str(Path(sys.executable).with_name("agcnn"))]
KILLED = [sys.executable, str(Path(__file__).with_name("killed_rank.py"))]
SECONDS = 240


def start(data: Path, run: Path, program: Sequence[str] = AGCNN) -> "list[subprocess.Popen[str]]":
    """Start the same command on both machines."""
    variables = os.environ | {"CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    words += ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    agcnn = ["--no-python", *program, "train", "--resume", *OPTIONS, *STAGES]
    paths = ["--data", str(data), "--cache", str(run.parent / "cache"), "--out", str(run)]
    return [
        subprocess.Popen(
            [*words, "--node-rank", str(rank), *agcnn, *paths],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for rank in (0, 1)
    ]


def finish(machines: "Sequence[subprocess.Popen[str]]") -> list[int]:
    """Wait for both, and return their exit statuses."""
    outputs = [machine.communicate(timeout=SECONDS)[0] for machine in machines]
    statuses = [machine.returncode for machine in machines]
    if any(statuses):
        sys.stdout.writelines(outputs)
    return statuses


@pytest.fixture
def whole(published: Path, tmp_path: Path) -> Path:
    """The run folder of two machines that nothing interrupted."""
    assert finish(start(published, tmp_path / "whole")) == [0, 0]
    return tmp_path / "whole"


def test_a_run_whose_second_rank_was_killed_is_resumed_to_the_same_weights(
    published: Path, whole: Path, tmp_path: Path
) -> None:
    run = tmp_path / "killed"
    assert all(finish(start(published, run, KILLED)))  # the first machine does not wait for ever
    assert (run / LAST).exists()
    assert not (run / checkpoint.DOCUMENT).exists()

    assert finish(start(published, run)) == [0, 0]
    expected, got = (load_file(folder / checkpoint.WEIGHTS) for folder in (whole, run))
    assert expected.keys() == got.keys()
    assert all(torch.equal(expected[name], got[name]) for name in expected)
