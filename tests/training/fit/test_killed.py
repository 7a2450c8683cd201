"""A killed and resumed run ends with the same result as an uninterrupted one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from training.evaluation import predictions
from training.fit import checkpoint
from training.fit.run import HELD_OUT

OPTIONS = ["--canvas-size", "64", "--input-size", "32", "--threads", "1", "--workers", "0", "--average", "0.5"]
STAGES = ["--stages", "global,fusion", "--epochs", "2,1,1", "--select", "best"]
RENAMES = 12  # plan; table and state of 3 epochs; weights of 2 stages; predictions, network, document


@pytest.mark.parametrize(
    "renames",
    [
        (2, 5, 8, 11),  # tables and states, some truncated and some not
        pytest.param(tuple(range(1, RENAMES + 2)), marks=pytest.mark.soak),
    ],
)
def test_a_killed_run_is_resumed_to_the_same_result(published: Path, tmp_path: Path, renames: tuple[int, ...]) -> None:
    """The run is killed during and after its writes, and repeatedly by a timer."""
    script = [sys.executable, str(Path(__file__).with_name("killed_run.py")), str(published), str(tmp_path)]
    script.append(",".join(map(str, renames)))
    answer = subprocess.run(
        [*script, *OPTIONS, *STAGES],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    at_renames, by_the_clock = map(int, (tmp_path / "kills.txt").read_text().split())
    assert at_renames == sum(rename <= RENAMES for rename in renames)
    assert by_the_clock
    whole = tmp_path / "whole"
    weights, logits = (whole / checkpoint.WEIGHTS).read_bytes(), predictions.load(whole / HELD_OUT).logits
    expected = history(whole)
    for run in [tmp_path / "clock", *tmp_path.glob("renamed*")]:
        assert (run / checkpoint.WEIGHTS).read_bytes() == weights
        np.testing.assert_array_equal(predictions.load(run / HELD_OUT).logits, logits)
        assert history(run) == expected
        assert len((run / "logs" / "epochs.csv").read_text().splitlines()) == 4


def history(run: Path) -> list[dict[str, object]]:
    records = checkpoint.read_json(run / checkpoint.DOCUMENT)["history"]
    return [{name: value for name, value in record.items() if name != "images_per_second"} for record in records]
