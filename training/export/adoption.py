"""Adoption: a published chest network becomes a run, with its own heat map, region and crop.

Both branches have the published weights, and the fusion layer gives the decision of the global branch.
"""

import hashlib
from dataclasses import dataclass
from math import floor, log2
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from model.agcnn import Agcnn, AgcnnConfig
from model.branch import BACKBONES, Branch, branch_names, load_trunk
from model.normalisation import GREY, Scale
from training.data.cache import Canvases
from training.errors import TrainingError
from training.evaluation import predictions
from training.export.published_form import FORMS, choose_outputs, choose_scale, name_outputs
from training.fit import checkpoint
from training.fit.config import STAGES
from training.fit.run import HELD_OUT
from training.fit.served_weights import as_served
from training.fit.stages import copy_global, start_from_global
from training.progress import progress_bar

CANVAS = 896  # pixels; the default canvas is the multiple of the input nearest to it, but at least twice the input
THRESHOLDS = "op_threshs"  # TorchXRayVision's operating point of each output, a buffer beside the weights
NARROWEST = 1 / 4  # standard deviation of the input, see `widen`
ROLE = "published weights"
GUIDE = "docs/adopt.md says how to write a state dict"


@dataclass(frozen=True)
class Publication:
    """A file of published weights, and what the user says of it.

    Attributes
    ----------
    form
        A name in `FORMS`.
    source
        Where the weights are from and what they were trained on, for the card.
    labels
        Label of each output, in order, blank for one that is not to be used; None for those of the form.
    keep_others
        Whether to keep outputs of the form whose label is none of ChestX-ray14's.
    scale
        See `choose_scale`.
    input_size, canvas_size
        Sides in pixels; None for those of the form.
    """

    weights: Path
    form: str
    source: str
    labels: tuple[str, ...] | None = None
    keep_others: bool = False
    scale: str | None = None
    input_size: int | None = None
    canvas_size: int | None = None


class State(NamedTuple):
    """A published state: its backbone, parameters by their name in a `Branch`, and operating points `[K]`, if any."""

    backbone: str
    values: dict[str, Tensor]
    thresholds: Tensor | None


def adopt(publication: Publication) -> tuple[Agcnn, dict[str, Any]]:
    """Build the network of a publication, and the document of its run (see `checkpoint.save`).

    Raises
    ------
    TrainingError
        The file cannot be read or holds another network; or labels, scale or sizes are missing or do not fit.
    """
    published = read(publication.weights)
    scale = choose_scale(publication.form, publication.scale)
    count = len(published.values["classifier.weight"])
    trained = None if published.thresholds is None else tuple((~published.thresholds.isnan()).tolist())
    names = name_outputs(publication.form, count, publication.labels, trained)
    kept = choose_outputs(names, publication.keep_others or publication.labels is not None)
    branch = load_branch(publication.weights, published, scale)
    network = Agcnn(configuration(publication, branch, len(kept)))
    network.global_branch.features.load_state_dict(branch.features.state_dict())
    with torch.no_grad():
        network.global_branch.classifier.weight.copy_(branch.classifier.weight[kept])
        network.global_branch.classifier.bias.copy_(branch.classifier.bias[kept])
    copy_global(network)
    start_from_global(network)
    return network.eval(), {
        "labels": [names[index] for index in kept],
        "config": {},
        "trained": list(STAGES),
        "untrained": [],  # an output that was not trained is not kept
        "training_data": [{"name": publication.source, "images": None, "patients": None, "role": ROLE}],
        "history": [],
        "adopted": {
            "form": publication.form,
            "file": publication.weights.name,
            "sha256": hashlib.sha256(publication.weights.read_bytes()).hexdigest(),
            "outputs": list(names),
            "scale": scale._asdict(),
            THRESHOLDS: stated_thresholds(names, published.thresholds),
        },
    }


def read(path: Path) -> State:
    """Read a state dict, also one of a network within DataParallel or another class.

    Raises
    ------
    TrainingError
        It cannot be read, is that of no known backbone, or has two values for one parameter or one that is not finite.
    """
    try:
        state = checkpoint.read_state(path)
    except TrainingError as error:
        raise TrainingError(f"{error}; {GUIDE}") from error
    thresholds = next((state.pop(name) for name in list(state) if name.split(".")[-1] == THRESHOLDS), None)
    marks = {"densenet121": "denseblock4.", "resnet50": "layer4."}
    backbone = next((name for name, mark in marks.items() if any(mark in published for published in state)), None)
    if backbone is None:
        raise TrainingError(f"{path}: expected a DenseNet-121 or ResNet-50 of torchvision, got {min(state)} and others")
    names = branch_names(backbone, state)
    values = {own: state[published] for own, published in names.items()}
    if len(values) < len(state) or "classifier.weight" not in values or BACKBONES[backbone].first not in values:
        raise TrainingError(f"{path}: expected a {backbone} with one linear classifier, got other parameters")
    if broken := [name for name, value in values.items() if not value.isfinite().all()]:
        raise TrainingError(f"{path}: {names[broken[0]]} has values that are not finite")
    return State(backbone, values, thresholds)


def load_branch(path: Path, published: State, scale: Scale) -> Branch:
    """Build a branch with all outputs of a state; every parameter must fit.

    Raises
    ------
    TrainingError
        A parameter is missing, is not known or has another shape; or ImageNet's scale is that of a grey network.
    """
    first = BACKBONES[published.backbone].first
    values, channels = dict(published.values), published.values[first].shape[1]
    if scale == GREY and channels != 3:
        raise TrainingError(f"--scale: imagenet is a scale of three colours, and {path} has {channels} channel")
    if scale != GREY:
        values[first] = values[first].float().sum(1, keepdim=True)  # the channels of a radiograph are equal
        scale, factor = widen(scale)
        values[first] *= factor
    branch = Branch(published.backbone, len(values["classifier.weight"]), "average", scale)
    if unmatched := load_trunk(branch, values):
        other = f"{len(unmatched)} parameters are missing, unknown or of another shape, first: {unmatched[0]}"
        raise TrainingError(f"{path}: expected a {published.backbone} as in torchvision; {other}")
    return branch.eval()


def widen(scale: Scale) -> tuple[Scale, float]:
    """Return a scale of a larger deviation, and the factor by which the first convolution's weight grows with it.

    The artefact stores weights as float16, which holds the small ones for inputs such as ±1024 only coarsely. A power
    of two changes no output.
    """
    factor = 2.0 ** max(0, floor(log2(NARROWEST / scale.std)))
    return Scale(scale.mean, scale.std * factor), factor


def configuration(publication: Publication, branch: Branch, findings: int) -> AgcnnConfig:
    """Return the configuration of the network that has the branch twice.

    Raises
    ------
    TrainingError
        The sides do not fit.
    """
    side = publication.input_size or FORMS[publication.form].sides[branch.backbone]
    try:
        return AgcnnConfig(
            backbone=branch.backbone,
            canvas_size=publication.canvas_size or side * max(2, round(CANVAS / side)),
            input_size=side,
            pooling=branch.pooling,
            findings=findings,
            pixel_mean=branch.scale.mean,
            pixel_std=branch.scale.std,
        )
    except ValueError as error:
        raise TrainingError(str(error)) from error


def stated_thresholds(names: tuple[str, ...], thresholds: Tensor | None) -> dict[str, float]:
    """Return label to operating point, for information: of the uncalibrated probability, on the publisher's images."""
    values = [] if thresholds is None else thresholds.tolist()
    return {name: value for name, value in zip(names, values, strict=False) if name and value == value}


def hold_out(run: Path, network: Agcnn, images: Canvases) -> None:
    """Write the predictions by which `agcnn evaluate` calibrates the run, as the network was not trained on the images.

    Parameters
    ----------
    images
        Canvases with the labels of the network.
    """
    served = as_served(network).to("cuda" if torch.cuda.is_available() else "cpu")
    chunks = np.split(np.arange(len(images)), range(predictions.BATCH, len(images), predictions.BATCH))
    with progress_bar() as progress:
        bar = progress.track(chunks, description="predicting images")
        parts = [predictions.predict(served, images.subset(chunk)) for chunk in bar]
    predictions.save(run / HELD_OUT, predictions.pool(parts))
