"""The detector, from attenuation to display values: Beer-Lambert, scatter, noise, logarithm, processing, window."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from training.phantom.scene import enlarge
from training.phantom.solid import Plane

SCATTER_MM = 26.0
BASE_MM = 24.0
DETAIL_MM = 4.0
THROUGH_AIR = 0.7  # attenuation below that of the thinnest part of the body


@dataclass(frozen=True)
class Exposure:
    """Parameters of exposure and processing.

    Parameters
    ----------
    photons
        Detected photons per mm² without a patient.
    scatter
        Ratio of scattered to primary radiation, averaged over the field, after the grid.
    electronic
        Noise of the electronics, in photons per pixel.
    heel
        Loss of intensity from one edge of the field to the other, as a share.
    shutters
        Share of each edge (left, top, right, bottom) behind the collimator.
    compression
        Share of the coarse contrast that the processing keeps; fine contrast is not reduced.
    detail
        Gain of the finest contrast.
    window
        Percentiles of the attenuation in the field that are shown black and white.
    gamma
        Exponent of the display curve.
    """

    photons: float = 600000.0
    scatter: float = 0.35
    electronic: float = 4.0
    heel: float = 0.1
    shutters: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    compression: float = 0.55
    detail: float = 1.7
    window: tuple[float, float] = (2.0, 92.0)
    gamma: float = 1.0


def intensity(attenuation: Plane) -> Plane:
    """Return the transmitted intensity of a beam of intensity 1 (Beer-Lambert): `[H, W] float32`."""
    return np.exp(-attenuation)


def photograph(attenuation: Plane, pitch: float, exposure: Exposure, rng: np.random.Generator) -> Plane:
    """Turn an attenuation map `[H, W] float32` into display values `[H, W] float32 in [0, 1]`, bone white.

    Parameters
    ----------
    pitch
        Pixel pitch in mm.
    """
    counts = _counts(intensity(attenuation) * _beam(attenuation.shape, exposure.heel), pitch, exposure, rng)
    whole = exposure.photons * pitch**2
    measured = -np.log(np.maximum(counts, np.float32(1.0)) / np.float32(whole))
    values = _window(_processed(measured, pitch, exposure), exposure)
    return _collimated(values, exposure.shutters)


def blur(plane: Plane, sigma_px: float) -> Plane:
    """Apply a Gaussian blur to `[H, W] float32`; wide ones are computed on a coarser grid."""
    factor = max(1, int(sigma_px / 4))
    if factor == 1:
        return np.asarray(ndimage.gaussian_filter(plane, sigma_px, mode="nearest", truncate=3), dtype=np.float32)
    small = np.asarray(Image.fromarray(plane).reduce(factor))
    small = ndimage.gaussian_filter(small, sigma_px / factor, mode="nearest", truncate=3)
    return enlarge(small, *plane.shape)


def _beam(shape: tuple[int, ...], heel: float) -> Plane:
    return np.asarray(np.linspace(1 - heel, 1, shape[0])[:, None], dtype=np.float32)


def _counts(primary: Plane, pitch: float, exposure: Exposure, rng: np.random.Generator) -> Plane:
    """Count photons in each pixel, with Poisson noise in the normal approximation and electronic noise."""
    scattered = exposure.scatter * blur(primary, SCATTER_MM / pitch)
    expected = (primary + scattered) * np.float32(exposure.photons * pitch**2)
    noise = rng.standard_normal(primary.shape, dtype=np.float32)
    return np.asarray(expected + noise * np.sqrt(expected + np.float32(exposure.electronic**2)))


def _processed(measured: Plane, pitch: float, exposure: Exposure) -> Plane:
    """Reduce coarse contrast and increase fine contrast."""
    base = blur(measured, BASE_MM / pitch)
    fine = measured - blur(measured, DETAIL_MM / pitch)
    return np.asarray(measured - np.float32(1 - exposure.compression) * base + np.float32(exposure.detail - 1) * fine)


def _window(measured: Plane, exposure: Exposure) -> Plane:
    height, width = measured.shape
    field = measured[height // 8 : -height // 12 : 4, width // 6 : -width // 6 : 4]
    low, high = np.percentile(field[field > THROUGH_AIR], exposure.window)
    linear = 0.26 + 0.58 * (measured - low) / (high - low)
    curve = 1 / (1 + np.exp(-4 * (linear - 0.5)))  # as VOI LUT function SIGMOID, PS3.3 C.11.2.1.3.1
    return np.asarray(np.clip((curve - 0.12) / 0.76, 0, 1) ** exposure.gamma, dtype=np.float32)


def _collimated(values: Plane, shutters: tuple[float, float, float, float]) -> Plane:
    height, width = values.shape
    left, top, right, bottom = shutters
    shown = np.zeros_like(values)
    rows = slice(round(top * height), height - round(bottom * height))
    columns = slice(round(left * width), width - round(right * width))
    shown[rows, columns] = values[rows, columns]
    return shown
