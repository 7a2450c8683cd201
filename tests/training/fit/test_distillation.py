from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from model.labels import LABELS
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


def test_teachers_are_matched_by_label(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    own = replace(canvases, labels=("Fracture", *LABELS[1:]))
    reversed_labels = list(reversed(LABELS))
    folder = teacher(tmp_path / "one", small, 0.0)
    network, _ = checkpoint.load(folder)
    with torch.no_grad():
        network.global_branch.classifier.bias.copy_(torch.arange(14.0))
    checkpoint.save(folder, network, {"labels": reversed_labels})
    other = teacher(tmp_path / "two", small, 1.0)
    checkpoint.save(other, checkpoint.load(other)[0], {"labels": ["Mass", *(f"finding {n}" for n in range(13))]})
    targets = distillation.distil_targets(create_fabric_for(small), own, [folder, other], 1.0).targets
    np.testing.assert_array_equal(targets[:, 0], canvases.targets[:, 0])  # no teacher knows fractures
    np.testing.assert_allclose(targets[0, 13], 1 / 2, rtol=1e-5)  # Hernia is the teacher's first label
    mass = LABELS.index("Mass")
    np.testing.assert_allclose(targets[0, mass], 1 / (1 + np.exp(-(13 - mass + 1) / 2)), rtol=1e-5)
    strange = replace(canvases, labels=tuple(f"other {n}" for n in range(14)))
    with pytest.raises(TrainingError, match="two: has none of the labels other 0, "):
        distillation.distil_targets(create_fabric_for(small), strange, [other], 1.0)


def test_invalid_input_gives_one_line(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    fabric = create_fabric_for(small)
    with pytest.raises(TrainingError, match="at least one --teacher"):
        distillation.distil_targets(fabric, canvases, (), 0.5)
    with pytest.raises(TrainingError, match="not a finished run"):
        distillation.distil_targets(fabric, canvases, (tmp_path,), 0.5)
    odd = teacher(tmp_path / "odd", replace(small, canvas_size=48, input_size=48), 0.0)
    with pytest.raises(TrainingError, match="the canvas size 64 is not a multiple of its input size 48"):
        distillation.distil_targets(fabric, canvases, (odd,), 0.5)
