"""In which order, and how often, an epoch sees the images; and how patients are dealt into folds."""

import numpy as np
from numpy.typing import NDArray

from training.data.cache import Canvases

Indices = NDArray[np.int64]


def epoch_order(canvases: Canvases, seed: tuple[int, ...], balance: bool) -> Indices:
    """Indices of one epoch, a function of the seed alone.

    With `balance` every collection gives the same number of images, so that telling collections apart does not pay: a
    small one comes round several times, a large one is seen over several epochs. The length stays that of the split.
    """
    generator = np.random.default_rng(seed)
    if not balance:
        return generator.permutation(len(canvases))
    names = sorted(set(canvases.collections))
    of = np.array(canvases.collections)
    share = len(canvases) // len(names)
    parts = [rounds(np.flatnonzero(of == name), share, generator) for name in names]
    return generator.permutation(np.concatenate(parts))


def rounds(members: Indices, count: int, generator: np.random.Generator) -> Indices:
    """`count` of the members, every one as often as any other, give or take one."""
    repeats = -(-count // len(members))
    return np.concatenate([generator.permutation(members) for _ in range(repeats)])[:count]


def fold(canvases: Canvases, number: int, folds: int, seed: int) -> tuple[Indices, Indices]:
    """(train, held out) of fold `number` of `folds`: patients are never divided, collections are dealt evenly."""
    collection = dict(zip(canvases.patients, canvases.collections, strict=True))
    generator = np.random.default_rng(seed)
    dealt = {
        patient: place % folds
        for name in sorted(set(collection.values()))
        for place, patient in enumerate(
            generator.permutation(sorted(patient for patient in collection if collection[patient] == name))
        )
    }
    held_out = np.array([dealt[patient] == number for patient in canvases.patients])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
