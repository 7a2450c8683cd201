"""A network's logits on a set of images, with what is needed to score them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from model.agcnn import Agcnn
from model.labels import LABELS
from training.data.cache import Canvases
from training.data.sample import Case, Floats, targets
from training.errors import TrainingError
from training.evaluation.inference import all_reduce, full_float32
from training.progress import progress_bar

BRANCHES = ("fusion", "global", "local")
BATCH = 32


@dataclass(frozen=True)
class Predictions:
    """Outputs of a network for a set of images.

    Attributes
    ----------
    logits
        `[3, N, K] float32`, in the order fusion, global, local; without a second look, those of global three times.
    boxes
        `[N, 4] float32`, region of the local branch: (x0, y0, x1, y1) in [0, 1] of the canvas.
    peaks
        `[N, 2] float32`, (x, y) in [0, 1] of the canvas: centre of the heat map's highest cell.
    cases
        Metadata of the N images.
    labels
        Label of each of the K findings, in order.
    class_peaks
        `[N, K, 2] float32`, the same for the highest cell of each finding's class map; None if read from a file of an
        older version.
    folds
        `[N] int64`, number of the network that gave each image's logits; None if one network gave all of them.
    """

    logits: Floats
    boxes: Floats
    peaks: Floats
    cases: tuple[Case, ...]
    labels: tuple[str, ...] = LABELS
    folds: NDArray[np.int64] | None = None
    class_peaks: Floats | None = None

    def __len__(self) -> int:
        return len(self.cases)

    @cached_property
    def targets(self) -> Floats:
        """`[N, K] float32`: 0, 1, or NaN where unknown."""
        return targets(self.cases)

    @property
    def patients(self) -> tuple[str, ...]:
        """Patient of each of the N images."""
        return tuple(case.patient for case in self.cases)

    def within(self, collection: str) -> "Predictions":
        """Return the predictions for the images of one collection."""
        return self.subset(np.flatnonzero([case.collection == collection for case in self.cases]))

    def subset(self, indices: NDArray[np.int64]) -> "Predictions":
        """Return the predictions for the images at these indices `[n]`."""
        cases = tuple(self.cases[index] for index in indices)
        arrays = self.logits[:, indices], self.boxes[indices], self.peaks[indices]
        folds = None if self.folds is None else self.folds[indices]
        class_peaks = None if self.class_peaks is None else self.class_peaks[indices]
        return Predictions(*arrays, cases, self.labels, folds, class_peaks)


def without_second_look(predicted: Predictions) -> Predictions:
    """Return what the network predicts without its local branch and fusion layer: the global logits three times."""
    return replace(predicted, logits=np.repeat(predicted.logits[1:2], len(BRANCHES), 0))


@full_float32()
@torch.no_grad()
def predict(network: Agcnn, canvases: Canvases) -> Predictions:
    """Run the network in evaluation mode on every image; logits without a label are left out."""
    network.eval()
    device = next(network.parameters()).device
    logits, boxes, points, class_points = [], [], [], []
    for chunk in np.split(np.arange(len(canvases)), range(BATCH, len(canvases), BATCH)):
        output = network(canvases.batch(chunk)[0].to(device))
        local = output.global_ if output.local is None else output.local
        branches = torch.stack([output.fusion, output.global_, local])  # [3, B, K or more]
        logits.append(branches[..., : len(canvases.labels)].float().cpu())
        boxes.append(output.box.float().cpu())
        points.append(peaks(output.heat_map).cpu())
        class_points.append(peaks(output.class_maps[:, : len(canvases.labels)]).cpu())
    arrays = (torch.cat(logits, 1).numpy(), torch.cat(boxes).numpy(), torch.cat(points).numpy())
    class_peaks = torch.cat(class_points).numpy()
    return Predictions(*arrays, canvases.cases, canvases.labels, class_peaks=class_peaks)


def predict_distributed(fabric: Fabric, network: Agcnn, canvases: Canvases) -> Predictions:
    """Return the same as `predict`, with the batches shared among the processes; every process returns all images.

    The first process shows a progress bar.
    """
    count = len(canvases)
    class_peaks = np.zeros((count, len(canvases.labels), 2), np.float32)
    whole = Predictions(*empty(count, len(canvases.labels)), canvases.cases, canvases.labels)
    network = network.to(fabric.device)
    chunks = np.split(np.arange(count), range(BATCH, count, BATCH))[fabric.global_rank :: fabric.world_size]
    with progress_bar(hidden=not fabric.is_global_zero) as progress:
        for chunk in progress.track(chunks, description="predicting"):
            part = predict(network, canvases.subset(chunk))
            whole.logits[:, chunk], whole.boxes[chunk], whole.peaks[chunk] = part.logits, part.boxes, part.peaks
            class_peaks[chunk] = part.class_peaks

    def summed(values: Floats) -> Floats:
        """Add `[...]` of all processes; each row was computed by one of them and is 0 in the others."""
        total: Floats = all_reduce(fabric, torch.from_numpy(values).to(fabric.device), "sum").cpu().numpy()
        return total

    sums = summed(whole.logits), summed(whole.boxes), summed(whole.peaks)
    return Predictions(*sums, canvases.cases, canvases.labels, class_peaks=summed(class_peaks))


def empty(count: int, findings: int) -> tuple[Floats, Floats, Floats]:
    """Return logits `[3, N, K]`, boxes `[N, 4]` and peaks `[N, 2]` of zeros for `count` images and K findings."""
    shapes = ((len(BRANCHES), count, findings), (count, 4), (count, 2))
    logits, boxes, peaks = (np.zeros(shape, np.float32) for shape in shapes)
    return logits, boxes, peaks


def peaks(maps: Tensor) -> Tensor:
    """Return the centre (x, y) `[..., 2]` in [0, 1] of the first highest cell of each map `[..., h, w]`."""
    height, width = maps.shape[-2:]
    place = maps.flatten(-2).argmax(-1)
    return torch.stack([(place % width + 0.5) / width, (place // width + 0.5) / height], -1)


def pool(parts: Sequence[Predictions]) -> Predictions:
    """Join the predictions of several folds, and number them.

    Raises
    ------
    TrainingError
        An image is in two of them, or they have other labels.
    """
    if len({part.labels for part in parts}) > 1:
        raise TrainingError("folds: their labels differ")
    cases = tuple(case for part in parts for case in part.cases)
    if len({case.image for case in cases}) != len(cases):
        raise TrainingError("folds: an image is held out in more than one of them")
    logits = np.concatenate([part.logits for part in parts], 1)
    boxes, peaks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "peaks"))
    folds = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    class_peaks = [part.class_peaks for part in parts if part.class_peaks is not None]
    joined = np.concatenate(class_peaks) if len(class_peaks) == len(parts) else None
    return Predictions(logits, boxes, peaks, cases, parts[0].labels, folds, joined)


def save(path: Path, predictions: Predictions) -> None:
    """Write predictions as .npz, with labels and cases as JSON inside."""
    cases = json.dumps([asdict(case) for case in predictions.cases])
    arrays = {name: getattr(predictions, name) for name in ("logits", "boxes", "peaks")}
    if predictions.class_peaks is not None:
        arrays["class_peaks"] = predictions.class_peaks
    texts = {"cases": np.array(cases), "labels": np.array(json.dumps(predictions.labels))}
    np.savez_compressed(path, allow_pickle=False, **arrays, **texts)


def load(path: Path) -> Predictions:
    """Read predictions written by `save`.

    Raises
    ------
    TrainingError
        The file is missing.
    """
    if not path.is_file():
        raise TrainingError(f"{path}: no predictions; did the run finish, and was it a fold?")
    with np.load(path, allow_pickle=False) as arrays:
        cases = tuple(case_from_json(record) for record in json.loads(str(arrays["cases"])))
        labels = tuple(json.loads(str(arrays["labels"]))) if "labels" in arrays else LABELS
        class_peaks = arrays.get("class_peaks")
        return Predictions(arrays["logits"], arrays["boxes"], arrays["peaks"], cases, labels, class_peaks=class_peaks)


def case_from_json(record: dict[str, Any]) -> Case:
    """Rebuild a case from JSON, which turned its tuples into lists."""
    boxes = {label: tuple(tuple(box) for box in rows) for label, rows in record["boxes"].items()}
    return Case(**{**record, "findings": tuple(record["findings"]), "boxes": boxes})
