"""Statistics of images and probabilities on validation, by which the service can tell that its images changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.evaluation.class_maps import class_map_quantiles
from training.evaluation.metrics import Numbers


def drift_statistics(network: Agcnn, images: Canvases, labels: Sequence[str], fusion: Numbers) -> dict[str, Any]:
    """Return mean and standard deviation of the images' mean pixel and of each probability, and class map quantiles.

    Parameters
    ----------
    fusion
        `[N, K] float64 in [0, 1]`, probabilities of the labels; not necessarily for the same images.
    """
    return {
        "pixel_mean": mean_and_deviation(images.means()),
        "probability": {label: mean_and_deviation(column) for label, column in zip(labels, fusion.T, strict=True)},
        "class_map_quantile": class_map_quantiles(network, images),
    }


def mean_and_deviation(values: Numbers) -> list[float]:
    """Return mean and standard deviation of an array."""
    return [float(np.mean(values)), float(np.std(values))]
