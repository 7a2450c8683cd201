"""Augmentation of whole canvases, before shrinking and cropping, so that both branches see the same image.

The changes of an image are drawn on the host and depend only on the seed and its place in the epoch, not on a process,
a batch or global state. They are applied to whole batches on the device; all spatial changes are one bilinear sampling.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, exp, log, radians, sin, sqrt
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate

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
    blur
        Probability with which an image is shrunk by a factor of 1 to 2 and enlarged again, as if taken with fewer
        pixels; for training on images of different resolution together.

    Raises
    ------
    TrainingError
        `crop` is not a share, or `blur` not a probability.
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
    blur: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.blur <= 1:
            raise TrainingError(f"augmentation: blur must be between 0 and 1, got {self.blur}")
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
    coarseness
        Factor by which the image is shrunk and enlarged again.
    """

    angle: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    contrast: float = 1.0
    brightness: float = 0.0
    gamma: float = 1.0
    coarseness: float = 1.0


class Changes(NamedTuple):
    """The changes of a batch.

    Attributes
    ----------
    motion
        `[B, 2, 3] float32`, from (x, y, 1) in the new image to (x, y) in the old one, both in [-1, 1].
    exposure
        `[B, 3] float32`: contrast, brightness, gamma.
    coarseness
        `[B] float32`, on the host.
    """

    motion: Tensor
    exposure: Tensor
    coarseness: Tensor


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
        1 + generator.random() if limits.blur and generator.random() < limits.blur else 1.0,
    )


def draw_crop(generator: np.random.Generator, smallest: float) -> tuple[float, float, float, float]:
    """Draw height and width of a crop, and the vertical and horizontal offset of its centre, as shares of the side."""
    area, aspect = generator.uniform(smallest, 1), exp(generator.uniform(-log(ASPECT), log(ASPECT)))
    aspect = min(max(aspect, area), 1 / area)  # neither side is longer than the canvas's
    height, width = sqrt(area / aspect), sqrt(area * aspect)
    low, left = (generator.uniform(-(1 - side) / 2, (1 - side) / 2) for side in (height, width))
    return height, width, low, left


def collect(changes: Sequence[Change]) -> Changes:
    """Collect the changes of the images of a batch."""
    motion = [motion_of(change) for change in changes]
    exposure = [(change.contrast, change.brightness, change.gamma) for change in changes]
    coarseness = [change.coarseness for change in changes]
    return Changes(torch.tensor(motion), torch.tensor(exposure), torch.tensor(coarseness))


def motion_of(change: Change) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return the two rows of a change's motion, for x and y: scale about the centre, shift, then rotate."""
    (height, width), (down, along) = change.scale, change.shift
    cosine, sine = cos(change.angle), sin(change.angle)
    return (
        (cosine * width, sine * height, 2 * (sine * down + cosine * along)),
        (-sine * width, cosine * height, 2 * (cosine * down - sine * along)),
    )


def augment(canvases: Tensor, changes: Changes) -> Tensor:
    """Apply the changes of a batch on the device of the canvases.

    Parameters
    ----------
    canvases
        `[B, 1, S, S] float32 in [0, 1]`.

    Returns
    -------
    Tensor
        `[B, 1, S, S] float32 in [0, 1]`; outside the canvas its edge is repeated.
    """
    coarse = lower_resolution(canvases, changes.coarseness.tolist())
    grid = sampling_grid(changes.motion, canvases.shape[-1])
    moved = grid_sample(coarse, grid, "bilinear", "border", align_corners=False)
    contrast, brightness, gamma = changes.exposure.T[:, :, None, None, None]
    return moved.sub_(0.5).mul_(contrast).add_(0.5 + brightness).clamp_(0, 1).pow_(gamma)


def sampling_grid(motion: Tensor, side: int) -> Tensor:
    """Return where to sample each pixel: `[B, S, S, 2]`, (x, y) in [-1, 1], from `[B, 2, 3]`.

    Written out, as a matrix product may be rounded to TF32 and depend on the size of the batch.
    """
    centres = (torch.arange(side, device=motion.device) + 0.5) * (2 / side) - 1
    along, down, offset = motion[:, :, :, None, None].unbind(2)  # [B, 2, 1, 1]
    return (along * centres + down * centres[:, None] + offset).permute(0, 2, 3, 1)


def lower_resolution(canvases: Tensor, coarseness: Sequence[float]) -> Tensor:
    """Shrink each of the canvases `[B, 1, S, S]` by its factor and enlarge it again; those with 1 are not changed."""
    if max(coarseness) <= 1:
        return canvases
    side, result = canvases.shape[-1], canvases.clone()
    for place, factor in enumerate(coarseness):
        if factor > 1:
            one = canvases[place : place + 1]
            small = interpolate(one, (round(side / factor),) * 2, mode="bilinear", antialias=True)
            result[place : place + 1] = interpolate(small, (side, side), mode="bilinear")
    return result
