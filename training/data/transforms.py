"""Augmentation of canvases, before anything is shrunk or cut out, so that both branches see one and the same image.

MONAI's transforms, given numbers that are drawn here: what an image becomes depends on the seed and its place in the
epoch alone, never on a process, a batch or a global state. One bilinear sampling moves it, however many kinds are on.
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

ASPECT = 4 / 3  # widest side ratio of a random resized crop, either way


@dataclass(frozen=True)
class Augmentation:
    """Largest departures from the image as it is; 0 leaves a kind out.

    Attributes
    ----------
    rotation
        Degrees, either way.
    zoom
        Share by which the visible part is made smaller or larger.
    stretch
        Share by which width and height differ.
    shift
        Share of the side.
    brightness
        Share of the grey range.
    contrast, gamma
        Natural logarithm of the factor, and of the exponent.
    crop
        Least share of the area that a random resized crop keeps, its sides 3:4 to 4:3; 1 for none.
    flip
        Mirror every other image. Off by default: it swaps left and right, puts the heart on the other side, and side
        markers with it.

    Raises
    ------
    TrainingError
        A share that is none.
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
            raise TrainingError(f"augmentation: crop must be over 0 and at most 1, got {self.crop}")


@dataclass(frozen=True)
class Change:
    """What is done to one image.

    Attributes
    ----------
    angle
        Radians.
    scale, shift
        (down, along): how large the part that is looked at is, below 0 for mirrored, and where its middle lies off the
        canvas's; shares of the side.
    contrast, brightness, gamma
        Factor about the middle grey, what is added then, and the exponent.
    """

    angle: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0


def change(seed: tuple[int, ...], place: int, most: Augmentation) -> Change:
    """Draw, from the seed and a place in the epoch alone, what is done to the image there."""
    generator = np.random.default_rng((*seed, place))
    turn, zoom, stretch, down, along, brightness, contrast, gamma = (2 * generator.random(8) - 1).tolist()
    height, width, low, left = crop(generator, most.crop)
    mirror = -1 if most.flip and generator.random() < 0.5 else 1
    scale = 1 + zoom * most.zoom
    return Change(
        radians(turn * most.rotation),
        (height * scale * (1 - stretch * most.stretch), mirror * width * scale * (1 + stretch * most.stretch)),
        (low + down * most.shift, left + along * most.shift),
        exp(contrast * most.contrast),
        brightness * most.brightness,
        exp(gamma * most.gamma),
    )


def crop(generator: np.random.Generator, least: float) -> tuple[float, float, float, float]:
    """Height and width of a part of the canvas, and how far down and along its middle is off; shares of the side."""
    area, aspect = generator.uniform(least, 1), exp(generator.uniform(-log(ASPECT), log(ASPECT)))
    aspect = min(max(aspect, area), 1 / area)  # neither side is longer than the canvas's
    height, width = sqrt(area / aspect), sqrt(area * aspect)
    low, left = (generator.uniform(-(1 - side) / 2, (1 - side) / 2) for side in (height, width))
    return height, width, low, left


def augment(canvas: Tensor, done: Change) -> Tensor:
    """Move and re-expose one canvas.

    Parameters
    ----------
    canvas
        [1, S, S] float32 in [0, 1].

    Returns
    -------
    [1, S, S] float32 in [0, 1]; what comes in from outside the canvas repeats its edge.
    """
    side = canvas.shape[-1]
    move = Affine(
        rotate_params=done.angle,
        translate_params=[side * part for part in done.shift],
        scale_params=done.scale,
        padding_mode="border",
        image_only=True,
    )
    expose = (
        ScaleIntensity(None, None, factor=done.contrast - 1),
        ShiftIntensity(0.5 - 0.5 * done.contrast + done.brightness),
        partial(torch.clamp_, min=0, max=1),
        AdjustContrast(done.gamma),
        partial(torch.clamp_, min=0, max=1),
    )
    with plain_tensors():
        changed: Tensor = Compose((move, *expose))(canvas)
    return changed


@contextmanager
def plain_tensors() -> Iterator[None]:
    """Keep MONAI from recording what it did: twice as slow, and nobody reads it."""
    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)
