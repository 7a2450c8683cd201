"""Thin structures (ribs, vessels, wires) as rows of small balls, projected through the ball's own spectrum.

By the projection-slice theorem the shadow of a ball has the ball's form factor as its two-dimensional spectrum, so many
thousand balls of one radius need one deposit and one transform, whatever the direction of a tube. Each ball is divided
between the two nearest of six radii. The total absorption of a tube is exact; balls in a row are denser at their axis,
so the profile is 3π/4 (r² - d²) / r, that of a solid rod 2 √(r² - d²).
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import fft

from training.phantom.camera import Camera
from training.phantom.solid import Plane, Points

RADII_PX = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
MARGIN_PX = 24
DETECTOR_SIGMA_PX = 0.55


class Strands(NamedTuple):
    """Balls in the patient's frame: centres `[N, 3]` and radii `[N]` in mm, mass `[N]` (volume × attenuation, mm²)."""

    points: Points
    radius: Points
    mass: Points


def gather(strands: Iterable[Strands]) -> Strands:
    """Concatenate strands."""
    parts = list(strands) or [Strands(np.zeros((0, 3)), np.zeros(0), np.zeros(0))]
    return Strands(*(np.concatenate(field) for field in zip(*parts, strict=True)))


def tube(line: Points, radius: float | Points, attenuation: float) -> Strands:
    """Fill a tube along a finely sampled line.

    Parameters
    ----------
    line
        `[N, 3]` points in mm, in steps of about one radius or less.
    radius
        Radius in mm, a number or `[N]`.
    attenuation
        Increase over the surrounding attenuation, in 1/mm.
    """
    step = np.linalg.norm(np.gradient(line, axis=0), axis=1)
    wide = np.broadcast_to(np.asarray(radius, dtype=np.float64), step.shape)
    return Strands(line, wide, np.pi * wide**2 * step * attenuation)


def curve(knots: Points, step: float) -> Points:
    """Sample a smooth curve `[N, 3]` through knots `[n, 3]` about every `step` mm (Catmull-Rom)."""
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    reach = np.linalg.norm(np.diff(knots, axis=0), axis=1).sum()
    t = np.linspace(0, len(knots) - 1, max(3, int(reach / step)))
    i = np.minimum(t.astype(int), len(knots) - 2)
    t = (t - i)[:, None]
    a, b, c, d = (padded[i + k] for k in range(4))
    return np.asarray(0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3))


def shadow(strands: Strands, camera: Camera) -> Plane:
    """Return the attenuation `[H, W] float32` of all balls, blurred by the detector."""
    padded = tuple(fft.next_fast_len(n + 2 * MARGIN_PX, real=True) for n in (camera.height, camera.width))
    column, row, zoom = camera.project(strands.points)
    x, y = column + (MARGIN_PX - 0.5), row + (MARGIN_PX - 0.5)
    inside = (x > 0) & (y > 0) & (x < padded[1] - 1) & (y < padded[0] - 1)
    x, y, zoom = x[inside], y[inside], zoom[inside]
    zoom /= np.float32(camera.pitch)
    mass = strands.mass[inside].astype(np.float32) * zoom**2
    level = _level(strands.radius[inside].astype(np.float32) * zoom)
    spectrum = np.zeros((padded[0], padded[1] // 2 + 1), dtype=np.complex64)
    for k in range(len(RADII_PX)):
        share = mass * np.maximum(0, 1 - np.abs(level - k))
        some = np.flatnonzero(share)
        if len(some):
            plane = _deposit(x[some], y[some], share[some], padded)
            spectrum += fft.rfft2(plane) * _form_factor(padded, RADII_PX[k])
    whole = fft.irfft2(spectrum, s=padded)
    return np.asarray(whole[MARGIN_PX : MARGIN_PX + camera.height, MARGIN_PX : MARGIN_PX + camera.width])


def _level(radius_px: Points) -> Points:
    """Return the fractional position among `RADII_PX`, between two of which a ball is divided."""
    position = np.log2(np.maximum(radius_px, RADII_PX[0]) / RADII_PX[0])
    return np.asarray(np.minimum(position, len(RADII_PX) - 1))


def _deposit(x: Points, y: Points, mass: Points, shape: tuple[int, ...]) -> Plane:
    """Divide the mass of each point among four pixels: `[H, W] float32`."""
    i, j = y.astype(np.intp), x.astype(np.intp)
    fy, fx = y - i, x - j
    flat = i * shape[1] + j
    index = np.concatenate([flat, flat + 1, flat + shape[1], flat + shape[1] + 1])
    lower, upper = mass * fy, mass * (1 - fy)
    share = np.concatenate([upper * (1 - fx), upper * fx, lower * (1 - fx), lower * fx])
    plane = np.bincount(index, share, minlength=shape[0] * shape[1])
    return plane.reshape(shape).astype(np.float32)


@lru_cache(maxsize=32)
def _form_factor(shape: tuple[int, ...], radius: float) -> Plane:
    """Return the spectrum of the shadow of a ball of mass 1, 3 (sin q - q cos q) / q³ with q = k r, blurred."""
    ky, kx = fft.fftfreq(shape[0])[:, None], fft.rfftfreq(shape[1])[None]
    k = 2 * np.pi * np.hypot(ky, kx)
    q = np.maximum(k * radius, 1e-2)
    ball = 3 * (np.sin(q) - q * np.cos(q)) / q**3
    return np.asarray(ball * np.exp(-0.5 * (k * DETECTOR_SIGMA_PX) ** 2), dtype=np.float32)
