"""A network's logits on a set of images, with what is needed to score them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
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
from training.evaluation.scoring import reduced

BRANCHES = ("fusion", "global", "local")
BATCH = 32


@dataclass(frozen=True)
class Predictions:
    """What the network made of some images.

    Attributes
    ----------
    logits
        [3, N, K] float32, in the order fusion, global, local.
    boxes
        [N, 4] float32, where the local branch looked: (x0, y0, x1, y1) in [0, 1] of the canvas.
    peaks
        [N, 2] float32, (x, y) in [0, 1] of the canvas: the middle of the heat map's highest cell.
    cases
        [N] what is known of each image.
    """

    logits: Floats
    boxes: Floats
    peaks: Floats
    cases: tuple[Case, ...]

    def __len__(self) -> int:
        return len(self.cases)

    @cached_property
    def targets(self) -> Floats:
        """[N, K] float32, NaN unknown."""
        return targets(self.cases)

    @property
    def patients(self) -> tuple[str, ...]:
        """[N], whose each image is."""
        return tuple(case.patient for case in self.cases)

    def within(self, collection: str) -> "Predictions":
        """Only the images of one collection."""
        return self.subset(np.flatnonzero([case.collection == collection for case in self.cases]))

    def subset(self, indices: NDArray[np.int64]) -> "Predictions":
        """Only these images."""
        cases = tuple(self.cases[index] for index in indices)
        return Predictions(self.logits[:, indices], self.boxes[indices], self.peaks[indices], cases)


@torch.no_grad()
def predict(network: Agcnn, canvases: Canvases) -> Predictions:
    """Run the whole network, in evaluation mode, over every image; logits beyond the labels' are left out."""
    network.eval()
    device = next(network.parameters()).device
    logits, boxes, found = [], [], []
    for chunk in np.split(np.arange(len(canvases)), range(BATCH, len(canvases), BATCH)):
        output = network(canvases.batch(chunk)[0].to(device))
        branches = torch.stack([output.fusion, output.global_, output.local])  # [3, B, K or more]
        logits.append(branches[..., : len(LABELS)].float().cpu())
        boxes.append(output.box.float().cpu())
        found.append(peaks(output.heat_map).cpu())
    return Predictions(torch.cat(logits, 1).numpy(), torch.cat(boxes).numpy(), torch.cat(found).numpy(), canvases.cases)


def dealt(fabric: Fabric, network: Agcnn, canvases: Canvases) -> Predictions:
    """As `predict`, batch for batch, the batches dealt to the processes; all of them get to know the whole."""
    count = len(canvases)
    found = Predictions(*empty(count), canvases.cases)
    network = network.to(fabric.device)
    for chunk in np.split(np.arange(count), range(BATCH, count, BATCH))[fabric.global_rank :: fabric.world_size]:
        part = predict(network, canvases.subset(chunk))
        found.logits[:, chunk], found.boxes[chunk], found.peaks[chunk] = part.logits, part.boxes, part.peaks

    def summed(values: Floats) -> Floats:
        """Every row is of one process, and 0 with the others."""
        whole: Floats = reduced(fabric, torch.from_numpy(values).to(fabric.device), "sum").cpu().numpy()
        return whole

    return Predictions(summed(found.logits), summed(found.boxes), summed(found.peaks), canvases.cases)


def empty(count: int) -> tuple[Floats, Floats, Floats]:
    """Logits, boxes and peaks of so many images, all 0."""
    shapes = ((len(BRANCHES), count, len(LABELS)), (count, 4), (count, 2))
    logits, boxes, peaks = (np.zeros(shape, np.float32) for shape in shapes)
    return logits, boxes, peaks


def peaks(heat_map: Tensor) -> Tensor:
    """Where a heat map [B, h, w] is highest: the middle of its first such cell, [B, 2] (x, y) in [0, 1]."""
    height, width = heat_map.shape[1:]
    place = heat_map.flatten(1).argmax(1)
    return torch.stack([(place % width + 0.5) / width, (place // width + 0.5) / height], 1)


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds as one set; an image in two of them is refused."""
    cases = tuple(case for part in parts for case in part.cases)
    if len({case.image for case in cases}) != len(cases):
        raise TrainingError("folds: an image is held out in more than one of them")
    logits = np.concatenate([part.logits for part in parts], 1)
    boxes, peaks = (np.concatenate([getattr(part, name) for part in parts]) for name in ("boxes", "peaks"))
    return Predictions(logits, boxes, peaks, cases)


def save(path: Path, predictions: Predictions) -> None:
    """Write as .npz; the cases as JSON inside."""
    cases = json.dumps([asdict(case) for case in predictions.cases])
    np.savez_compressed(
        path, logits=predictions.logits, boxes=predictions.boxes, peaks=predictions.peaks, cases=np.array(cases)
    )


def load(path: Path) -> Predictions:
    """Read what `save` wrote."""
    if not path.is_file():
        raise TrainingError(f"{path}: no predictions; did the run finish, and was it a fold?")
    with np.load(path, allow_pickle=False) as arrays:
        cases = tuple(restored(record) for record in json.loads(str(arrays["cases"])))
        return Predictions(arrays["logits"], arrays["boxes"], arrays["peaks"], cases)


def restored(record: dict[str, Any]) -> Case:
    """A case as JSON gives it back: lists for tuples."""
    boxes = {label: tuple(tuple(box) for box in found) for label, found in record["boxes"].items()}
    return Case(**{**record, "findings": tuple(record["findings"]), "boxes": boxes})
