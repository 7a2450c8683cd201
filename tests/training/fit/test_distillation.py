from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.errors import TrainingError
from training.fit import checkpoint, distillation
from training.fit.config import TrainConfig
from training.fit.devices import create_fabric_for


def teacher(folder: Path, small: TrainConfig, bias: float) -> Path:
    """A finished run with equal logits for every image."""
    network = Agcnn(small.network)
    with torch.no_grad():
        network.global_branch.classifier.weight.zero_()
        network.global_branch.classifier.bias.fill_(bias)
    folder.mkdir()
    checkpoint.save(folder, network, {"config": asdict(small)})
    return folder


def test_targets_are_mixed_with_the_teachers_probabilities(
    canvases: Canvases, small: TrainConfig, tmp_path: Path
) -> None:
    teachers = [teacher(tmp_path / name, small, bias) for name, bias in (("one", 1.0), ("two", 3.0))]
    probability = 1 / (1 + np.exp(-2.0))
    labels = canvases.targets.copy()
    labels[0, 0] = np.nan
    cases = (replace(canvases.cases[0], findings=tuple(labels[0].tolist())), *canvases.cases[1:])
    fabric = create_fabric_for(small)
    targets = distillation.distil_targets(fabric, replace(canvases, cases=cases), teachers, 0.25).targets
    expected = np.where(np.isnan(labels), probability, 0.75 * labels + 0.25 * probability)
    np.testing.assert_allclose(targets, expected, rtol=1e-5)


def test_invalid_input_gives_one_line(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    fabric = create_fabric_for(small)
    with pytest.raises(TrainingError, match="at least one --teacher"):
        distillation.distil_targets(fabric, canvases, (), 0.5)
    with pytest.raises(TrainingError, match="not a finished run"):
        distillation.distil_targets(fabric, canvases, (tmp_path,), 0.5)
    odd = teacher(tmp_path / "odd", replace(small, canvas_size=48, input_size=48), 0.0)
    with pytest.raises(TrainingError, match="the canvas size 64 is not a multiple of its input size 48"):
        distillation.distil_targets(fabric, canvases, (odd,), 0.5)
