"""Batches of an epoch, augmented and prefetched by worker processes.

An augmented image depends only on the seed, its place in the epoch and its index, not on workers or batch sizes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.cache import Canvases
from training.data.order import Indices
from training.data.processors import processors
from training.data.sample import Floats
from training.data.transforms import Augmentation, augment, draw_change


@dataclass(frozen=True)
class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Augmented canvases `[1, S, S] float32 in [0, 1]` and targets `[K] float32`, by (place in the epoch, index)."""

    canvases: Canvases
    targets: Floats
    seed: tuple[int, ...]
    augmentation: Augmentation

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return canvas `[1, S, S]` and targets `[K]` of one image."""
        place, index = where
        canvas = self.canvases.read(np.array([index]))[0]
        return augment(canvas, draw_change(self.seed, place, self.augmentation)), torch.from_numpy(self.targets[index])


def load(
    canvases: Canvases,
    batches: Sequence[tuple[Indices, Indices]],
    seed: tuple[int, ...],
    augmentation: Augmentation,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield augmented batches in order.

    Parameters
    ----------
    batches
        Places in the epoch and indices of the images of each batch, `[B] int64` each.
    workers
        Number of processes that prefetch; with 0 this process reads.

    Yields
    ------
    canvases, targets
        `[B, 1, S, S] float32 in [0, 1]` and `[B, K] float32`, NaN where unknown.
    """
    where = [list(zip(places.tolist(), indices.tolist(), strict=True)) for places, indices in batches]
    pictures = replace(canvases, cases=())  # unpickling the metadata of 100,000 cases takes a worker a second
    yield from DataLoader(
        Augmented(pictures, canvases.targets, seed, augmentation),
        batch_sampler=where,
        num_workers=min(workers, processors()),
        multiprocessing_context=forkserver() if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # or the loader would draw from the global generator
    )


def forkserver() -> ForkServerContext:
    """Return a context that forks workers from a process with this module only: without threads, locks or a GPU."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
