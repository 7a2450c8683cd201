"""Several sets of canvases as one: labels in one order, and names that cannot clash."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from model.labels import LABELS
from training.data.cache import Canvases
from training.data.joined_pixels import JoinedPixels
from training.errors import TrainingError


def union(label_sets: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return all labels: ChestX-ray14's in its order, then the others in order of first appearance."""
    known = dict.fromkeys(label for labels in label_sets for label in labels)
    return (*(label for label in LABELS if label in known), *(label for label in known if label not in LABELS))


def qualify(images: Canvases, folder: str, population: str) -> Canvases:
    """Put names before the names of images and patients, so that those of two folders differ.

    Parameters
    ----------
    folder
        Name for the images, and for the collection of images that have none.
    population
        Name for the patients; the same for folders in which a patient has the same identifier.
    """
    cases = tuple(
        replace(
            case,
            image=f"{folder}/{case.image}",
            patient=f"{population}/{case.patient}",
            collection=case.collection or folder,
        )
        for case in images.cases
    )
    return replace(images, cases=cases)


def join(parts: Sequence[Canvases]) -> Canvases:
    """Return the images of all parts, which have the same labels, in order.

    Raises
    ------
    TrainingError
        Labels or sizes differ.
    """
    if len({(part.labels, part.factor, part.size) for part in parts}) > 1:
        raise TrainingError("several sets of images: labels or canvas sizes differ")
    pixels = JoinedPixels(tuple(array for part in parts for array in arrays(part)))
    ends = np.cumsum([len(part.pixels) for part in parts])
    starts = ends - [len(part.pixels) for part in parts]
    return replace(
        parts[0],
        name=" + ".join(part.name for part in parts),
        pixels=pixels,
        rows=np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=True)]),
        cases=tuple(case for part in parts for case in part.cases),
    )


def arrays(part: Canvases) -> tuple[NDArray[np.uint8], ...]:
    """Return the arrays of a set of images."""
    return part.pixels.parts if isinstance(part.pixels, JoinedPixels) else (part.pixels,)
