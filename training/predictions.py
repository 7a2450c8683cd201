"""A network's logits on a set of images, with what is needed to score them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.agcnn import Agcnn
from training.cache import Canvases, pick
from training.errors import TrainingError
from training.sample import Floats

BRANCHES = ("fusion", "global", "local")
BATCH = 32


@dataclass(frozen=True)
class Predictions:
    """Logits [3, N, K] float32 in the order fusion, global, local; targets [N, K] float32, NaN unknown."""

    logits: Floats
    targets: Floats
    images: tuple[str, ...]
    patients: tuple[str, ...]
    collections: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)

    def within(self, collection: str) -> "Predictions":
        """Only the images of one collection."""
        return self.subset(np.flatnonzero(np.array(self.collections) == collection))

    def subset(self, indices: NDArray[np.int64]) -> "Predictions":
        """Only these images."""
        names = (pick(values, indices) for values in (self.images, self.patients, self.collections))
        return Predictions(self.logits[:, indices], self.targets[indices], *names)


@torch.no_grad()
def predict(network: Agcnn, canvases: Canvases) -> Predictions:
    """Run the whole network, in evaluation mode, over every image."""
    network.eval()
    device = next(network.parameters()).device
    rows = []
    for chunk in np.split(np.arange(len(canvases)), range(BATCH, len(canvases), BATCH)):
        output = network(canvases.batch(chunk)[0].to(device))
        rows.append(torch.stack([output.fusion, output.global_, output.local]).float().cpu())  # [3, B, K]
    logits = torch.cat(rows, 1).numpy()
    return Predictions(logits, canvases.targets, canvases.images, canvases.patients, canvases.collections)


def pooled(parts: Sequence[Predictions]) -> Predictions:
    """The predictions of several folds as one set; an image in two of them is refused."""
    names = [sum((getattr(part, name) for part in parts), ()) for name in ("images", "patients", "collections")]
    if len(set(names[0])) != len(names[0]):
        raise TrainingError("folds: an image is held out in more than one of them")
    return Predictions(
        np.concatenate([part.logits for part in parts], 1), np.concatenate([part.targets for part in parts]), *names
    )


def save(path: Path, predictions: Predictions) -> None:
    """Write as .npz."""
    np.savez_compressed(
        path,
        logits=predictions.logits,
        targets=predictions.targets,
        images=predictions.images,
        patients=predictions.patients,
        collections=predictions.collections,
    )


def load(path: Path) -> Predictions:
    """Read what `save` wrote."""
    if not path.is_file():
        raise TrainingError(f"{path}: no predictions; did the run finish, and was it a fold?")
    with np.load(path, allow_pickle=False) as arrays:
        names = (tuple(arrays[name].tolist()) for name in ("images", "patients", "collections"))
        return Predictions(arrays["logits"], arrays["targets"], *names)
