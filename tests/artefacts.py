"""Builders of small artefacts for tests: an untrained network, exported by the real exporter."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import nn

from model.agcnn import Agcnn, AgcnnConfig
from model.labels import LABELS
from training.evaluation.calibration import Calibration
from training.export.export import ExportReport, export

CANVAS = 128
GRID = 3  # side of the heat map for an input of 64 pixels, cells
EPOCH = "1700000000"  # 14 November 2023, as SOURCE_DATE_EPOCH
CONFIG = AgcnnConfig(backbone="squeezenet1_1", canvas_size=CANVAS, input_size=64)


def tiny_artefact(folder: Path, **card_overrides: Any) -> Path:
    """Write `agcnn.onnx` with a canvas of 128 pixels into `folder`.

    `card_overrides` replace entries of the card; None removes one. The network is exported once in each process.
    """
    model = onnx.load_from_string(tiny_export()[0])
    entry = next(entry for entry in model.metadata_props if entry.key == "agcnn")
    card = json.loads(entry.value) | card_overrides
    entry.value = json.dumps({name: value for name, value in card.items() if value is not None})
    path = folder / "agcnn.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def tiny_card(path: Path) -> dict[str, Any]:
    """Return the card of an artefact as plain JSON."""
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return dict(json.loads(metadata["agcnn"]))


def tiny_network(seed: int = 0, config: AgcnnConfig = CONFIG) -> Agcnn:
    """Return an untrained network whose outputs differ from image to image."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Agcnn(config).eval()
        for layer in (network.global_branch.classifier, network.local_branch.classifier, network.fusion.classifier):
            nn.init.normal_(layer.weight, std=0.05)
        _randomise_norms(network)
    return network


def _randomise_norms(network: Agcnn) -> None:
    """Set weights and statistics of batch norms as after training, so that no block passes only its shortcut.

    Offsets are small, because large ones make features nearly constant and the heat map only rounding errors.
    """
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 1)
            nn.init.uniform_(norm.bias, -0.02, 0.02)
            nn.init.uniform_(norm.running_mean, -0.02, 0.02)
            nn.init.uniform_(norm.running_var, 0.8, 1.2)


def evaluated(labels: tuple[str, ...] = LABELS) -> dict[str, Any]:
    """Return the entries of the card that evaluation provides to the export."""
    return {
        "operating_points": [_operating_point(label) for label in labels],
        "training_data": [{"name": "none", "images": 0, "patients": 0, "role": "untrained, for tests"}],
        "metrics": [_metric("macro"), *(_metric(label) for label in labels)],
        "statistics": {"pixel_mean": [0.5, 0.1], "probability": {label: [0.4, 0.1] for label in labels}},
    }


def tiny_typicality(threshold: float) -> dict[str, Any]:
    """Return the card's entry `typicality` for `CONFIG`: means of 0, standard deviations of 1."""
    size = len(LABELS) + len(LABELS) * (len(LABELS) + 1) // 2 + GRID**2
    return {
        "source": "none",
        "images": 0,
        "mean": [0.0] * size,
        "factor": [[0.0] * place + [1.0] for place in range(size)],
        "quantile": 0.98,
        "threshold": threshold,
        "false_alarms": [{"source": "tests", "images": 50, "value": 0.02, "interval": [0.0, 0.1]}],
    }


def calibration(labels: int = len(LABELS)) -> Calibration:
    """Return a calibration with slopes near 1 and biases near 0, all different."""
    steps = np.linspace(-1, 1, 3 * labels).reshape(3, -1)
    return Calibration(slope=1 + 0.2 * steps, bias=0.1 * steps)


def of_global(whole: Calibration) -> Calibration:
    """Return the calibration of a network without a second look, whose outputs are those of the global branch."""
    return Calibration(np.repeat(whole.slope[1:2], 3, 0), np.repeat(whole.bias[1:2], 3, 0))


def smooth_canvases(count: int, size: int = CANVAS, seed: int = 0) -> list[np.ndarray]:
    """Return canvases of clouds, each `[1, S, S] float32 in [0, 1]`: unlike in noise, neighbours are similar."""
    random = np.random.default_rng(seed)
    coarse = random.random((count, 8, 8), dtype=np.float32)
    clouds = [np.asarray(Image.fromarray(cloud).resize((size, size), Image.Resampling.BICUBIC)) for cloud in coarse]
    return [np.clip(cloud, 0, 1)[None] for cloud in clouds]


@cache
def tiny_export() -> tuple[bytes, ExportReport]:
    """Export the tiny network, as created at `EPOCH`; once in each process, as it takes seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # other test processes need the cores
    try:
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
            path = Path(folder) / "agcnn.onnx"
            report = export(tiny_network(), calibration(), evaluated(), smooth_canvases(64), path)
            return path.read_bytes(), report
    finally:
        torch.set_num_threads(threads)


def _operating_point(label: str) -> dict[str, Any] | None:
    if label == "Hernia":  # as in the shipped artefact: too few positives
        return None
    return {
        "threshold": 0.5,
        "sensitivity": 0.4,
        "sensitivity_interval": [0.3, 0.5],
        "specificity": 0.95,
        "specificity_interval": [0.9, 0.98],
        "positives": 30,
        "negatives": 300,
        "source": "tests",
    }


def _metric(label: str) -> dict[str, Any]:
    return {
        "name": "auroc",
        "split": "test",
        "images": 0,
        "branch": "fusion",
        "label": label,
        "value": None if label == "Hernia" else 0.5,
        "interval": None if label == "Hernia" else [0.4, 0.6],
        "positives": 0,
    }
