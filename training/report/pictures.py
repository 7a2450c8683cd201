"""Radiographs of the test list with their predictions, for the report: a few, and those that were got most wrong."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.sample import Case, Floats
from training.evaluation.calibration import Calibration
from training.evaluation.predictions import Predictions
from training.report.html_report import Picture

COUNT = 8
CHUNK = 8  # images that are in memory together with their features
SMALL = 224  # side of a small picture, pixels


def pictures(network: Agcnn, images: Canvases, test: Predictions, calibration: Calibration) -> list[Picture]:
    """Return up to eight pictures, chosen independently of the predictions; `test` is in the order of `images`."""
    chosen = choose_images(test.cases)
    return draw(network, images.subset(chosen), test.subset(chosen), calibration)


def small_pictures(
    network: Agcnn, images: Canvases, test: Predictions, calibration: Calibration, names: Iterable[str]
) -> dict[str, Picture]:
    """Return small pictures of the named images, by name."""
    rows = {case.image: row for row, case in enumerate(test.cases)}
    chosen = np.array(sorted({rows[name] for name in names}), np.int64)
    few = [chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK)]
    return {
        picture.image: replace(picture, canvas=shrink(picture.canvas))
        for part in few
        for picture in draw(network, images.subset(part), test.subset(part), calibration)
    }


def draw(network: Agcnn, images: Canvases, test: Predictions, calibration: Calibration) -> list[Picture]:
    """Return pictures of all these images, with the heat maps of the network."""
    canvases = images.read(np.arange(len(images)))
    with torch.no_grad():
        device = next(network.parameters()).device
        heat_maps = network(canvases.to(device)).heat_map.float().cpu().numpy()
    fusion = calibration.probabilities(test.logits)[0]
    return [
        Picture(
            image=case.image,
            canvas=canvases[row].numpy(),
            heat_map=heat_maps[row],
            box=test.boxes[row],
            probabilities=dict(zip(test.labels, fusion[row].tolist(), strict=True)),
            findings=present(case, test.labels),
        )
        for row, case in enumerate(test.cases)
    ]


def shrink(canvas: Floats) -> Floats:
    """Shrink a canvas `[1, S, S] float32` to at most 224 pixels, averaging."""
    picture = Image.fromarray(canvas[0])
    picture.thumbnail((SMALL, SMALL), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)[None]


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
