"""Pooled vectors of both branches: all that the fusion stage sees of an image, as the branches are frozen."""

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.loader import augmented, load
from training.data.transforms import Augmentation
from training.evaluation.inference import BATCH, all_reduce
from training.fit.config import TrainConfig
from training.fit.stages import pooled_vectors

UNCHANGED = Augmentation(0, 0, 0, 0, 0, 0, 0)


class PooledVectors:
    """Pooled vectors of the training and the held-out images, each kept until another view of them is asked for."""

    def __init__(self, fabric: Fabric, config: TrainConfig) -> None:
        self.fabric, self.config = fabric, config
        self.kept: dict[str, tuple[tuple[int, ...], Tensor]] = {}

    def train(self, network: Agcnn, images: Canvases, seed: tuple[int, ...]) -> Tensor:
        """Return the vectors `[N, 2C] float32` of the images, augmented by a seed."""
        return self.once("train", network, images, seed, self.config.augmentation)

    def held_out(self, network: Agcnn, images: Canvases) -> Tensor:
        """Return the vectors `[N, 2C] float32` of the images as they are."""
        return self.once("held out", network, images, (), UNCHANGED)

    @torch.no_grad()
    def once(
        self, name: str, network: Agcnn, images: Canvases, seed: tuple[int, ...], augmentation: Augmentation
    ) -> Tensor:
        """Compute the vectors `[N, 2C] float32` of all images, by all processes together, unless they are kept."""
        if name in self.kept and self.kept[name][0] == seed:
            return self.kept[name][1]
        self.kept.pop(name, None)  # before the next are computed, so that the memory holds one view
        vectors = torch.zeros(len(images), network.fusion.classifier.in_features, device=self.fabric.device)
        chunks = np.split(np.arange(len(images)), range(BATCH, len(images), BATCH))
        mine = chunks[self.fabric.global_rank :: self.fabric.world_size]
        loaded = load(images, [(chunk, chunk) for chunk in mine], seed, augmentation, self.config.workers)
        for chunk, batch in zip(mine, loaded, strict=True):
            canvas, _ = augmented(batch, images.factor, self.fabric.device)
            with self.fabric.autocast():
                pooled = pooled_vectors(network, canvas)
            vectors[chunk] = pooled.float()
        self.kept[name] = (seed, all_reduce(self.fabric, vectors, "sum"))  # 0 in all processes but one
        return self.kept[name][1]
