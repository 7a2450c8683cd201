"""Batches of an epoch: 8-bit images as the cache has them, with the changes by which the device augments them.

An augmented image depends only on the seed, its place in the epoch and its index, not on workers or batch sizes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.data.cache import Canvases, display_values
from training.data.order import Indices
from training.data.processors import processors
from training.data.sample import Floats
from training.data.transforms import Augmentation, Changes, augment, collect, draw_change


class Batch(NamedTuple):
    """A batch on the host: `pixels [B, 1, S', S'] uint8`, `targets [B, K] float32`, and the changes of the images."""

    pixels: Tensor
    targets: Tensor
    changes: Changes


@dataclass(frozen=True)
class Batches(Dataset[Batch]):
    """The batches of an epoch, by places in the epoch and indices of the images, `[B] int64` each."""

    canvases: Canvases
    targets: Floats
    seed: tuple[int, ...]
    augmentation: Augmentation

    def __getitem__(self, where: tuple[Indices, Indices]) -> Batch:
        """Return one batch."""
        places, indices = where
        changes = collect([draw_change(self.seed, place, self.augmentation) for place in places.tolist()])
        return Batch(self.canvases.stored(indices), torch.from_numpy(self.targets[indices]), changes)


def load(
    canvases: Canvases,
    batches: Sequence[tuple[Indices, Indices]],
    seed: tuple[int, ...],
    augmentation: Augmentation,
    workers: int,
) -> Iterator[Batch]:
    """Yield batches in order.

    Parameters
    ----------
    batches
        Places in the epoch and indices of the images of each batch, `[B] int64` each.
    workers
        Number of processes that prefetch; with 0 this process reads.
    """
    pictures = replace(canvases, cases=())  # unpickling the metadata of 100,000 cases takes a worker a second
    yield from DataLoader(
        Batches(pictures, canvases.targets, seed, augmentation),
        batch_size=None,
        sampler=batches,
        num_workers=min(workers, processors()),
        multiprocessing_context=forkserver() if workers else None,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # or the loader would draw from the global generator
    )


def augmented(batch: Batch, factor: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Shrink and augment a batch on a device.

    Parameters
    ----------
    factor
        S' / S, by which the stored images are shrunk.

    Returns
    -------
    canvases, targets
        `[B, 1, S, S] float32 in [0, 1]` and `[B, K] float32`, NaN where unknown.
    """

    def parts(tensor: Tensor, device: torch.device) -> tuple[Tensor, ...]:
        """Send a tensor `[B, ...]` to the device while it computes, and split it into what it works on at a time."""
        return tensor.to(device, non_blocking=True).chunk(count)

    # The caches of a processor hold the arrays of one canvas but not of a batch; a GPU needs a batch to be busy.
    count = len(batch.pixels) if device.type == "cpu" else 1
    motion, exposure, coarseness = batch.changes
    changes = zip(parts(motion, device), parts(exposure, device), parts(coarseness, torch.device("cpu")), strict=True)
    values = (display_values(pixels, factor) for pixels in parts(batch.pixels, device))
    canvases = [augment(value, Changes(*change)) for value, change in zip(values, changes, strict=True)]
    return torch.cat(canvases), batch.targets.to(device, non_blocking=True)


def forkserver() -> ForkServerContext:
    """Return a context that forks workers from a process with this module only: without threads, locks or a GPU."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context
