"""Augmentation of whole canvases, before shrinking and cropping, so that both branches see the same image.

MONAI's transforms are called with numbers drawn here, so that an augmented image depends only on the seed and its place
in the epoch, not on a process, a batch or global state. All spatial changes are one bilinear sampling.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import exp, log, radians, sqrt

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.transforms.compose import Compose
from monai.transforms.intensity.array import AdjustContrast, ScaleIntensity, ShiftIntensity
from monai.transforms.spatial.array import Affine
from torch import Tensor

from training.errors import TrainingError

ASPECT = 4 / 3  # largest ratio of the sides of a random resized crop


@dataclass(frozen=True)
class Augmentation:
    """Limits of the random changes; 0 disables a change.

    Attributes
    ----------
    rotation
        Largest angle in degrees, in both directions.
    zoom
        Largest relative change of the size of the visible part.
    stretch
        Largest relative difference of width and height.
    shift
        Largest shift as a share of the side.
    brightness
        Largest offset as a share of the grey range.
    contrast, gamma
        Largest natural logarithm of the contrast factor and of the exponent.
    crop
        Smallest share of the area that a random resized crop keeps, its sides 3:4 to 4:3; 1 for no crop.
    flip
        Whether to mirror images with probability 0.5. Off by default, as it moves the heart to the other side.

    Raises
    ------
    TrainingError
        `crop` is not a share.
    """

    rotation: float = 7.0
    zoom: float = 0.12
    stretch: float = 0.06
    shift: float = 0.05
    brightness: float = 0.06
    contrast: float = 0.2
    gamma: float = 0.2
    crop: float = 1.0
    flip: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.crop <= 1:
            raise TrainingError(f"augmentation: crop must be above 0 and at most 1, got {self.crop}")


@dataclass(frozen=True)
class Change:
    """The changes of one image.

    Attributes
    ----------
    angle
        Rotation in radians.
    scale, shift
        Size of the visible part, negative if mirrored, and offset of its centre: (vertical, horizontal), as shares of
        the side.
    contrast, brightness, gamma
        Factor about middle grey, offset added after it, and exponent.
    """

    angle: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0


def draw_change(seed: tuple[int, ...], place: int, limits: Augmentation) -> Change:
    """Draw the changes of the image at a place in the epoch; they depend only on seed and place."""
    generator = np.random.default_rng((*seed, place))
    turn, zoom, stretch, down, along, brightness, contrast, gamma = (2 * generator.random(8) - 1).tolist()
    height, width, low, left = draw_crop(generator, limits.crop)
    mirror = -1 if limits.flip and generator.random() < 0.5 else 1
    scale = 1 + zoom * limits.zoom
    return Change(
        radians(turn * limits.rotation),
        (height * scale * (1 - stretch * limits.stretch), mirror * width * scale * (1 + stretch * limits.stretch)),
        (low + down * limits.shift, left + along * limits.shift),
        exp(contrast * limits.contrast),
        brightness * limits.brightness,
        exp(gamma * limits.gamma),
    )


def draw_crop(generator: np.random.Generator, smallest: float) -> tuple[float, float, float, float]:
    """Draw height and width of a crop, and the vertical and horizontal offset of its centre, as shares of the side."""
    area, aspect = generator.uniform(smallest, 1), exp(generator.uniform(-log(ASPECT), log(ASPECT)))
    aspect = min(max(aspect, area), 1 / area)  # neither side is longer than the canvas's
    height, width = sqrt(area / aspect), sqrt(area * aspect)
    low, left = (generator.uniform(-(1 - side) / 2, (1 - side) / 2) for side in (height, width))
    return height, width, low, left


def augment(canvas: Tensor, change: Change) -> Tensor:
    """Apply changes to one canvas.

    Parameters
    ----------
    canvas
        `[1, S, S] float32 in [0, 1]`.

    Returns
    -------
    Tensor
        `[1, S, S] float32 in [0, 1]`; outside the canvas its edge is repeated.
    """
    side = canvas.shape[-1]
    move = Affine(
        rotate_params=change.angle,
        translate_params=[side * part for part in change.shift],
        scale_params=change.scale,
        padding_mode="border",
        image_only=True,
    )
    expose = (
        ScaleIntensity(None, None, factor=change.contrast - 1),
        ShiftIntensity(0.5 - 0.5 * change.contrast + change.brightness),
        partial(torch.clamp_, min=0, max=1),
        AdjustContrast(change.gamma),
        partial(torch.clamp_, min=0, max=1),
    )
    with plain_tensors():
        changed: Tensor = Compose((move, *expose))(canvas)
    return changed


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Stop MONAI from recording its transforms, which takes twice as long and is not used."""
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)
