"""Batches of an epoch, augmented and fetched ahead by worker processes.

What comes out depends on the seed, the places and the indices alone: not on workers, nor on how batches are cut.
"""

import os
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
from training.data.sample import Floats
from training.data.transforms import Augmentation, augment, change


@dataclass(frozen=True)
class Augmented(Dataset[tuple[Tensor, Tensor]]):
    """Augmented canvas [1, S, S] float32 in [0, 1] and targets [K], by (place in the epoch, index)."""

    canvases: Canvases
    targets: Floats
    seed: tuple[int, ...]
    augmentation: Augmentation

    def __getitem__(self, where: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """One image."""
        place, index = where
        canvas = self.canvases.read(np.array([index]))[0]
        return augment(canvas, change(self.seed, place, self.augmentation)), torch.from_numpy(self.targets[index])


def load(
    canvases: Canvases,
    batches: Sequence[tuple[Indices, Indices]],
    seed: tuple[int, ...],
    augmentation: Augmentation,
    workers: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Augmented batches, in order.

    Parameters
    ----------
    batches
        Of each, the places in the epoch and the indices of the images there.
    workers
        Processes that fetch ahead; 0 for this one.

    Yields
    ------
    ([B, 1, S, S] float32 in [0, 1], [B, K] float32, NaN unknown)
    """
    where = [list(zip(places.tolist(), indices.tolist(), strict=True)) for places, indices in batches]
    pictures = replace(canvases, cases=())  # what is known of a hundred thousand cases takes a worker a second to read
    yield from DataLoader(
        Augmented(pictures, canvases.targets, seed, augmentation),
        batch_sampler=where,
        num_workers=min(workers, processors()),
        multiprocessing_context=forkserver() if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # the loader's own draw leaves the global state alone
    )


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def forkserver() -> ForkServerContext:
    """Start workers from a process that has imported this module and nothing else: no thread, no lock, no GPU."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
