"""A few radiographs of the test list with their predictions, for the report."""

import numpy as np
import torch
from numpy.typing import NDArray

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.sample import Case
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.report.html_report import Picture

COUNT = 8


def pictures(network: Agcnn, images: Canvases, test: Predictions, calibration: Calibration) -> list[Picture]:
    """Return up to eight pictures, chosen independently of the predictions; `test` is in the order of `images`."""
    chosen = choose_images(test.cases)
    few = test.subset(chosen)
    canvases = images.batch(chosen)[0]
    with torch.no_grad():
        device = next(network.parameters()).device
        heat_maps = network(canvases.to(device)).heat_map.float().cpu().numpy()
    fusion = calibration.probabilities(few.logits)[0]
    return [
        Picture(
            image=case.image,
            canvas=canvases[row].numpy(),
            heat_map=heat_maps[row],
            box=few.boxes[row],
            probabilities=dict(zip(test.labels, fusion[row].tolist(), strict=True)),
            findings=present(case, test.labels),
        )
        for row, case in enumerate(few.cases)
    ]


def choose_images(cases: tuple[Case, ...], count: int = COUNT) -> NDArray[np.int64]:
    """Choose the first image of each patient, images with boxes before images with findings before the rest: `[n]`."""
    first: dict[str, int] = {}
    for row, case in enumerate(cases):
        first.setdefault(case.patient, row)
    ordered = sorted(first.values(), key=lambda row: (not cases[row].boxes, 1 not in cases[row].findings))
    return np.array(ordered[:count], np.int64)


def present(case: Case, labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the labels that are known to be present in an image."""
    return tuple(label for label, finding in zip(labels, case.findings, strict=True) if finding == 1)
