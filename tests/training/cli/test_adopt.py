from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from model.labels import LABELS
from tests.model.published import torchxrayvision
from tests.model.thin import thin
from training.cli.app import app
from training.fit import checkpoint
from training.fit.served_weights import as_served
from training.report.calibration_source import from_run


def adopt(weights: Path, out: Path, *words: object) -> Result:
    said = ["--form", "torchxrayvision", "--source", "random", "--input-size", "32", "--canvas-size", "64", *words]
    return CliRunner().invoke(app, ["adopt", "--weights", str(weights), "--out", str(out), *map(str, said)])


def test_the_run_has_predictions_to_calibrate_on(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(monkeypatch)
    torch.manual_seed(0)
    torch.save(torchxrayvision((1, 1, 1, 1), untrained=[17]), tmp_path / "w.pt")
    out = tmp_path / "runs" / "adopted"
    answer = adopt(tmp_path / "w.pt", out, "--data", published, "--keep-other-labels")
    assert answer.exit_code == 0, answer.output
    assert "17 findings: Atelectasis, Cardiomegaly, " in answer.output
    assert "outputs that are not used: 1: untrained" in answer.output
    network, document = checkpoint.load(out)
    assert (document["held_out"], len(document["labels"])) == ("tiny train+val", 17)
    source = from_run(out, (published,), second_look=True)
    assert source
    assert source.name == "validation, tiny train+val"
    predicted = source.predictions
    assert predicted.labels == (*LABELS, "Lung Lesion", "Fracture", "Lung Opacity")
    assert predicted.logits.shape == (3, 32, 17)
    assert np.isnan(predicted.targets[:, 14:]).all()
    assert not np.isnan(predicted.targets[:, :14]).any()
    canvas = torch.zeros(1, 1, 64, 64)
    assert as_served(network)(canvas).fusion.shape == (1, 17)
    again = adopt(tmp_path / "w.pt", out)
    assert (again.exit_code, "contains a run already" in again.stderr) == (2, True)


def test_a_file_that_cannot_be_adopted_gives_one_line_and_no_folder(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pt")
    answer = adopt(tmp_path / "w.pt", tmp_path / "run")
    assert (answer.exit_code, len(answer.stderr.splitlines())) == (2, 1)
    assert "w.pt: expected a DenseNet-121 or ResNet-50" in answer.stderr
    assert not (tmp_path / "run").exists()
