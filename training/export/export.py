"""Export: write a trained network and its card as one ONNX file, if the file reproduces the network."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from model.agcnn import Agcnn, AgcnnConfig
from model.labels import LABELS
from service.artefact.card import NOTICE, SCHEMA, Network
from service.artefact.file import ENTRY
from service.artefact.golden import SQUARE
from training.errors import TrainingError
from training.evaluation.calibration import Calibration
from training.export.fused_graph import FusedGraph, banned_operators, to_onnx
from training.export.golden import choose_golden
from training.export.outputs import Outputs, collect, in_runtime, in_torch, largest_difference
from training.fit.checkpoint import commit
from training.fit.served_weights import as_served, folded

REQUIRED_ENTRIES = ("operating_points", "training_data", "metrics", "statistics")  # in the card of the evaluated run
ENTRIES = (*REQUIRED_ENTRIES, "model_card")
OPTIONAL_ENTRIES = ("codes", "untrained", "localisation")  # absent if empty

MAX_DIFFERENCE = 1e-4  # in probability and heat map
MAX_BOX_DIFFERENCE = 1.0  # canvas pixels
PROBABILITIES = ("fusion", "global", "local")
BATCHES = (1, 3, 8)
MIN_IMAGES = 64
# Neighbouring pixels of a radiograph or phantom are highly correlated; those of noise are not.
MIN_CORRELATION = 0.5


class ExportError(TrainingError):
    """The network cannot be exported, or the file does not reproduce its outputs; nothing was written."""


@dataclass(frozen=True)
class ExportReport:
    """Size of the file, and its differences from the network.

    Attributes
    ----------
    difference, box_difference
        Largest difference between the rounded network in torch and the file in ONNX Runtime, in probability or heat
        map and in canvas pixels.
    rounding
        Largest difference in probability between the trained and the rounded network, for information.
    size
        Size of the file in bytes.
    """

    difference: float
    box_difference: float
    rounding: float
    size: int


def export(
    network: Agcnn, calibration: Calibration, card: Mapping[str, object], images: Sequence[np.ndarray], path: Path
) -> ExportReport:
    """Write the artefact.

    Parameters
    ----------
    network
        Trained network; it is not changed. Without a second look (see `model.agcnn.without_second_look`) the graph has
        no output `local`.
    card
        `operating_points`, `training_data`, `metrics`, `statistics` and, optionally, `labels` (else those of
        ChestX-ray14), `model_card`, `localisation`, `codes` and `untrained`, as in the artefact's card, and whether
        they were computed with a `second_look` (a run's `card.json`); other entries are ignored.
    images
        At least 64 canvases `[1, S, S] float32 in [0, 1]`, radiographs or phantoms, on which torch and ONNX Runtime
        are compared.
    path
        The file, replaced atomically.

    Raises
    ------
    ExportError
        An input does not fit; the graph has an operator that is not allowed; or torch and ONNX Runtime differ by more
        than 1e-4 in probability or one canvas pixel in a box.
    """
    _require(path.parent.is_dir(), f"{path.parent} is not a folder")
    _check(network.config, calibration, card, images)
    graph = _rounded(network, calibration)
    model = to_onnx(graph)
    _check_operators(model)
    runtime = in_runtime(model.SerializeToString(), graph.output_names)
    reference = collect(in_torch(graph), images, max(BATCHES))
    difference, box_difference = _compare(reference, runtime, images)
    model.metadata_props.add(key=ENTRY, value=_json(_card(network.config, card, runtime)))
    trained = collect(in_torch(FusedGraph(folded(network), calibration)), images, max(BATCHES))
    rounding = largest_difference(trained, reference, PROBABILITIES)
    data = model.SerializeToString(deterministic=True)
    write_whole(path, data)
    return ExportReport(difference, box_difference, rounding, len(data))


def _check(
    config: AgcnnConfig, calibration: Calibration, card: Mapping[str, object], images: Sequence[np.ndarray]
) -> None:
    size, findings = config.canvas_size, len(_labels(card))
    missing = [name for name in REQUIRED_ENTRIES if name not in card]
    _require(not missing, f"the card has no {', '.join(missing)}")
    _require(_is_scored(card), "the card has no AUROC of any label: evaluate the run on images with findings")
    fits = config.findings in (findings, findings + 1)
    _require(fits, f"expected {findings} findings, or {findings + 1} with No Finding, got {config.findings}")
    _require(size % SQUARE == 0, f"canvas_size must be a multiple of {SQUARE}, got {size}")
    for name, values in (("slope", calibration.slope), ("bias", calibration.bias)):
        fits = np.shape(values) == (3, findings) and bool(np.isfinite(values).all())
        _require(fits, f"calibration: {name} must be finite and [3, {findings}], got {list(np.shape(values))}")
    _check_second_look(config, calibration, card)
    _require(len(images) >= MIN_IMAGES, f"expected at least {MIN_IMAGES} images to compare on, got {len(images)}")
    for number, image in enumerate(images):
        fits = image.shape == (1, size, size) and image.dtype == np.float32
        _require(fits, f"image {number}: expected float32 [1, {size}, {size}], got {image.dtype} {list(image.shape)}")
        _require(_is_smooth(image[0]), f"image {number} is flat or noise, expected a radiograph or phantom")


def _check_second_look(config: AgcnnConfig, calibration: Calibration, card: Mapping[str, object]) -> None:
    """Refuse thresholds and scores of another decision than the one that the graph makes."""
    words = {True: "with", False: "without"}
    evaluated = bool(card.get("second_look", True))
    fits = evaluated == config.second_look
    hint = f"evaluated {words[evaluated]} a second look, but is to be exported {words[config.second_look]} it"
    _require(fits, f"the run was {hint}; give --without-second-look to both commands or to neither")
    equal = all(np.array_equal(values[0], values[1]) for values in (calibration.slope, calibration.bias))
    _require(config.second_look or equal, "calibration: without a second look, fusion's must equal global's")


def _is_scored(card: Mapping[str, Any]) -> bool:
    return any(row["name"] == "auroc" and row["value"] is not None for row in card["metrics"])


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ExportError(message)


def _is_smooth(image: np.ndarray) -> bool:
    left, right = image[:, :-1].ravel(), image[:, 1:].ravel()
    return bool(min(left.std(), right.std()) > 0 and np.corrcoef(left, right)[0, 1] > MIN_CORRELATION)


def _rounded(network: Agcnn, calibration: Calibration) -> FusedGraph:
    try:
        return FusedGraph(as_served(network), calibration)
    except OverflowError as error:
        raise ExportError(str(error)) from None


def _check_operators(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(model, full_check=True)
    banned = banned_operators(model)
    _require(not banned, f"the graph has {', '.join(banned)}")


def _compare(
    reference: Outputs, runtime: Callable[[np.ndarray], Outputs], images: Sequence[np.ndarray]
) -> tuple[float, float]:
    size, worst, worst_box = images[0].shape[-1], 0.0, 0.0
    for batch in BATCHES:
        outputs = collect(runtime, images, batch)
        difference = largest_difference(reference, outputs, (*PROBABILITIES, "heat_map"))
        box = largest_difference(reference, outputs, ("box",)) * size
        # Written so that NaN fails too: every comparison with NaN is false.
        _require(difference <= MAX_DIFFERENCE, f"batch {batch}: torch and ONNX Runtime differ by {difference:.2g}")
        _require(
            box <= MAX_BOX_DIFFERENCE, f"batch {batch}: torch and ONNX Runtime differ by {box:.2g} pixels in a box"
        )
        worst, worst_box = max(worst, difference), max(worst_box, box)
    return worst, worst_box


def _card(
    config: AgcnnConfig, evaluated: Mapping[str, object], runtime: Callable[[np.ndarray], Outputs]
) -> dict[str, object]:
    try:
        golden = choose_golden(runtime, config.canvas_size)
    except ValueError as error:
        raise ExportError(str(error)) from None
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "name": f"agcnn-{config.backbone}",
        "version": version("agcnn-triage"),
        "git_commit": commit(),
        "created": _now().isoformat(timespec="seconds"),
        "labels": _labels(evaluated),
        **{name: evaluated[name] for name in ENTRIES if name in evaluated},
        **{name: evaluated[name] for name in OPTIONAL_ENTRIES if evaluated.get(name)},
        "preprocessing": {"canvas_size": config.canvas_size, "resize": "stretch"},
        "network": _network(config),
        "golden": golden,
    }


def _network(config: AgcnnConfig) -> dict[str, object]:
    """Return the card's entry; later fields with their defaults are not written, as older services do not know them."""
    default = AgcnnConfig()
    optional = ("second_look", "mirror", "pixel_mean", "pixel_std")
    names = [name for name in Network.model_fields if name not in optional]
    names += [name for name in optional if getattr(config, name) != getattr(default, name)]
    return {name: getattr(config, name) for name in names}


def _labels(evaluated: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the labels of an evaluated run; those of ChestX-ray14 if its card is of an older version."""
    return tuple(evaluated.get("labels", LABELS))


def _json(card: Mapping[str, object]) -> str:
    try:
        return json.dumps(card, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ExportError(f"the card is not plain JSON: {error}") from None


def _now() -> datetime:
    """Return the current time, or SOURCE_DATE_EPOCH for a reproducible build (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
