"""Quantisation: from an artefact make one whose trunks compute with 8-bit integers, if it still says the same."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from service.artefact.file import ENTRY, output_names
from training.data.cache import Canvases
from training.data.relabel import relabel
from training.data.sample import Floats
from training.data.sources import joined_canvases
from training.errors import TrainingError
from training.evaluation.metrics import aurocs, macro
from training.export.export import write_whole
from training.export.golden import choose_quantised_golden
from training.export.outputs import Outputs, in_runtime
from training.export.quantised_graph import quantised
from training.export.typicality import read_artefact

MAX_AUROC_CHANGE = 0.005  # in macro AUROC
MIN_BOX_IOU = 0.9  # mean
BATCH = 8


class QuantisationError(TrainingError):
    """The artefact cannot be quantised, or would say something else; nothing was written."""


@dataclass(frozen=True)
class Calibration:
    """How to measure the ranges of activations, and what to do with weights.

    Attributes
    ----------
    images
        Number of training images.
    reduce_range
        Whether weights have 7 bits.
    """

    images: int = 64
    reduce_range: bool = True


def quantise(
    artefact: Path,
    folders: Sequence[Path],
    output: Path,
    cache: Path,
    calibration: Calibration = Calibration(),
) -> dict[str, Any]:
    """Write the quantised artefact; return its card's entry `quantisation`.

    Ranges are measured on training images, and the two artefacts are compared on validation images.

    Raises
    ------
    QuantisationError
        It is quantised already; validation images do not give an AUROC; or the quantised artefact moves the macro AUROC
        by more than 0.005 or the boxes to a mean intersection over union below 0.9.
    TrainingError
        The file is not an artefact, or a folder of data does not fit.
    """
    model, card = read_artefact(artefact)
    if "quantisation" in card:
        raise QuantisationError(f"{artefact} is quantised already; name the artefact that it was made from")
    size = card["preprocessing"]["canvas_size"]
    train, val = (relabel(joined_canvases(folders, split, size, cache), card["labels"]) for split in ("train", "val"))
    chosen = train.subset(np.random.default_rng(0).permutation(len(train))[: calibration.images])
    result = quantised(model, chosen.first(len(chosen)), calibration.reduce_range)
    names = output_names(card["network"].get("second_look", True))
    run = in_runtime(result.SerializeToString(), names)
    before, after = _on_all(in_runtime(model.SerializeToString(), names), val), _on_all(run, val)
    entry = {
        "derived_from": hashlib.sha256(artefact.read_bytes()).hexdigest(),
        "calibration": train.name,
        "calibration_images": len(chosen),
        "weight_bits": 7 if calibration.reduce_range else 8,
        "source": val.name,
        "images": len(val),
        **compare(before, after, val, card),
    }
    _check(entry)
    golden, entry["tolerance"] = _golden(run, size)
    statistics = {name: value for name, value in card["statistics"].items() if name != "typicality"}
    written = card | {"statistics": statistics, "golden": golden, "quantisation": entry}
    next(item for item in result.metadata_props if item.key == ENTRY).value = json.dumps(written, allow_nan=False)
    write_whole(output, result.SerializeToString(deterministic=True))
    return entry


def compare(before: Outputs, after: Outputs, images: Canvases, card: dict[str, Any]) -> dict[str, Any]:
    """Return how far outputs of the images `[N, ...]` differ, as in the card's entry.

    Raises
    ------
    QuantisationError
        No label has an AUROC.
    """
    scores = [float(macro(aurocs(outputs["fusion"], images.targets))[0]) for outputs in (before, after)]
    if not np.isfinite(scores).all():
        raise QuantisationError(f"{images.name} has no finding that is present in one image and absent in another")
    points = card["operating_points"]
    has_point = np.array([point is not None for point in points])
    thresholds = np.array([0.0 if point is None else point["threshold"] for point in points])
    decisions = [(outputs["fusion"] >= thresholds)[:, has_point] for outputs in (before, after)]
    return {
        "auroc_float": scores[0],
        "auroc": scores[1],
        "box_iou": float(overlap(before["box"], after["box"]).mean()),
        "agreement": float((decisions[0] == decisions[1]).mean()) if has_point.any() else None,
        "largest_difference": float(np.abs(before["fusion"] - after["fusion"]).max()),
    }


def overlap(first: Floats, second: Floats) -> Floats:
    """Return the intersection over union `[N]` of boxes `[N, 4]` that are not empty."""
    sides = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    shared = sides.clip(0).prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    iou: Floats = shared / (areas[0] + areas[1] - shared)
    return iou


def _check(entry: dict[str, Any]) -> None:
    on = f"on {entry['source']}"
    if abs(entry["auroc"] - entry["auroc_float"]) > MAX_AUROC_CHANGE:
        raise QuantisationError(
            f"the macro AUROC {on} moves from {entry['auroc_float']:.4f} to {entry['auroc']:.4f}, expected a "
            f"change of at most {MAX_AUROC_CHANGE}; more --images may help"
        )
    if entry["box_iou"] < MIN_BOX_IOU:
        raise QuantisationError(
            f"boxes {on}: expected a mean intersection over union with those in float of at least {MIN_BOX_IOU}, got "
            f"{entry['box_iou']:.3f}; more --images may help"
        )


def _golden(run: Callable[[np.ndarray], Outputs], size: int) -> tuple[dict[str, object], dict[str, float]]:
    try:
        return choose_quantised_golden(run, size)
    except ValueError as error:
        raise QuantisationError(str(error)) from None


def _on_all(run: Callable[[np.ndarray], Outputs], images: Canvases) -> Outputs:
    chunks = np.split(np.arange(len(images)), range(BATCH, len(images), BATCH))
    parts = [run(images.read(chunk).numpy()) for chunk in chunks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
