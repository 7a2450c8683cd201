"""Whether an image resembles the radiographs that the network was trained on, judged by the network's outputs.

Export fits a Gaussian to the features of typical images and stores it in the card; the service compares each image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.artefact.card import Card

FLAG = "atypical_image"
FLOOR = 1e-4  # squared logits: far below the variance of a finding on a radiograph (about 1), far above rounding

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Distribution of the features of typical images.

    Attributes
    ----------
    mean
        `[D]` mean of `features`.
    factor
        `[D, D]` lower triangular matrix W; WᵀW is the inverse of the covariance of `features`.
    """

    mean: Numbers
    factor: Numbers


@dataclass(frozen=True)
class TypicalImages:
    """The Gaussian of typical images, and the distance from its mean beyond which an image is atypical."""

    gaussian: Gaussian
    threshold: float


def gaussian(mean: Sequence[float], rows: Sequence[Sequence[float]]) -> Gaussian:
    """Build a Gaussian from the numbers in a card.

    Parameters
    ----------
    mean
        D numbers.
    rows
        D rows of the factor, each up to the diagonal: 1 to D numbers.
    """
    factor = np.zeros((len(mean), len(mean)))
    factor[np.tril_indices(len(mean))] = np.concatenate(rows)
    return Gaussian(np.array(mean), factor)


def typical_images(card: Card) -> TypicalImages | None:
    """Read the card's typicality; None where it has none, so that no image is flagged."""
    entry = card.statistics.typicality
    return None if entry is None else TypicalImages(gaussian(entry.mean, entry.factor), entry.threshold)


def flags(
    class_maps: NDArray[np.float32], heat_map: NDArray[np.float32], typical: TypicalImages | None
) -> tuple[str, ...]:
    """Return `atypical_image` if an image is atypical, else nothing.

    Parameters
    ----------
    class_maps
        `[K, h, w] float32`, logits.
    heat_map
        `[h, w] float32 in [0, 1]`.
    typical
        Typical images of the artefact's card; with None nothing is flagged.
    """
    if typical is None or distance(features(class_maps, heat_map), typical.gaussian) <= typical.threshold:
        return ()
    return (FLAG,)


def features(class_maps: NDArray[np.float32], heat_map: NDArray[np.float32]) -> Numbers:
    """Describe an image by the network's outputs.

    The features are the means of the class maps over the grid; the logarithm of their covariance matrix over the grid
    (so that variances are compared by their ratio to the usual ones); and the heat map.

    Parameters
    ----------
    class_maps
        `[K, h, w] float32`, logits.
    heat_map
        `[h, w] float32 in [0, 1]`.

    Returns
    -------
    ndarray
        `[D] float64`, D = K + K (K + 1) / 2 + h w; the matrix as its upper triangle, row by row.
    """
    maps = class_maps.reshape(len(class_maps), -1).astype(np.float64)
    means = maps.mean(1)
    deviations = maps - means[:, None]
    values, vectors = np.linalg.eigh(deviations @ deviations.T / maps.shape[1])
    logarithm = (vectors * np.log(np.maximum(values, 0) + FLOOR)) @ vectors.T
    return np.concatenate([means, logarithm[np.triu_indices(len(maps))], heat_map.ravel()])


def distance(features: Numbers, gaussian: Gaussian) -> float:
    """Return the Mahalanobis distance of `features` `[D]` from the mean."""
    return float(np.linalg.norm(gaussian.factor @ (features - gaussian.mean)))
