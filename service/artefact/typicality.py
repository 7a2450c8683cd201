"""Whether an image is like the radiographs that the network knows, by what the network makes of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.artefact.card import Card
from service.inference.session import Outputs

FLAG = "atypical_image"
FLOOR = 1e-4  # squared logits: far below what findings vary by on a radiograph (about 1), far above rounding

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Known:
    """What is known of typical images.

    Attributes
    ----------
    mean
        [D], of `features`.
    factor
        [D, D] lower triangular, W with WᵀW the inverse of their covariance.
    threshold
        Of the distance; beyond it an image is atypical.
    """

    mean: Numbers
    factor: Numbers
    threshold: float


def known(card: Card) -> Known | None:
    """Read the artefact's card; None where it says nothing of this, so that nothing is checked."""
    typicality = card.statistics.typicality
    if typicality is None:
        return None
    size = len(typicality.mean)
    factor = np.zeros((size, size))
    factor[np.tril_indices(size)] = np.concatenate(typicality.factor)
    return Known(np.array(typicality.mean), factor, typicality.threshold)


def flags(prediction: Outputs, typical: Known | None) -> tuple[str, ...]:
    """`atypical_image`, or nothing."""
    if typical is None or distance(features(prediction.class_maps, prediction.heat_map), typical) <= typical.threshold:
        return ()
    return (FLAG,)


def features(class_maps: NDArray[np.float32], heat_map: NDArray[np.float32]) -> Numbers:
    """Describe an image by the network's outputs.

    The class maps' means over the grid; how they vary over it together, as the logarithm of their covariance's matrix
    (so that it counts by what factor they vary more or less than usual); and the heat map.

    Parameters
    ----------
    class_maps
        [K, h, w], logits.
    heat_map
        [h, w] in [0, 1].

    Returns
    -------
    [K + K (K + 1) / 2 + h w], the matrix by its upper triangle, row by row.
    """
    maps = class_maps.reshape(len(class_maps), -1).astype(np.float64)
    means = maps.mean(1)
    deviations = maps - means[:, None]
    values, vectors = np.linalg.eigh(deviations @ deviations.T / maps.shape[1])
    logarithm = (vectors * np.log(np.maximum(values, 0) + FLOOR)) @ vectors.T
    return np.concatenate([means, logarithm[np.triu_indices(len(maps))], heat_map.ravel()])


def distance(described: Numbers, typical: Known) -> float:
    """Mahalanobis distance of `features` [D] from the typical mean."""
    return float(np.linalg.norm(typical.factor @ (described - typical.mean)))
