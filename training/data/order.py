"""The order of images in an epoch, and the division of patients into folds."""

import numpy as np
from numpy.typing import NDArray

from training.data.cache import Canvases

Indices = NDArray[np.int64]


def epoch_order(canvases: Canvases, seed: tuple[int, ...], balance: bool) -> Indices:
    """Return the indices `[n] int64` of one epoch, which depend only on the seed.

    With `balance` every collection contributes the same number of images, so that recognising the collection does not
    reduce the loss: images of a small collection are repeated, those of a large one are spread over several epochs. The
    length stays about that of the split.
    """
    generator = np.random.default_rng(seed)
    if not balance:
        return generator.permutation(len(canvases))
    names = sorted(set(canvases.collections))
    collections = np.array(canvases.collections)
    share = len(canvases) // len(names)
    parts = [cycle(np.flatnonzero(collections == name), share, generator) for name in names]
    return generator.permutation(np.concatenate(parts))


def cycle(members: Indices, count: int, generator: np.random.Generator) -> Indices:
    """Draw `count` of the members `[n]`, each equally often up to one: `[count] int64`."""
    repeats = -(-count // len(members))
    return np.concatenate([generator.permutation(members) for _ in range(repeats)])[:count]


def fold(canvases: Canvases, number: int, folds: int, seed: int) -> tuple[Indices, Indices]:
    """Return the indices `[n]` to train on and `[m]` to hold out in fold `number` of `folds`.

    A patient is in one fold only, and the patients of each collection are divided evenly.
    """
    collection = dict(zip(canvases.patients, canvases.collections, strict=True))
    generator = np.random.default_rng(seed)
    fold_of = {
        patient: place % folds
        for name in sorted(set(collection.values()))
        for place, patient in enumerate(
            generator.permutation(sorted(patient for patient in collection if collection[patient] == name))
        )
    }
    held_out = np.array([fold_of[patient] == number for patient in canvases.patients])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
