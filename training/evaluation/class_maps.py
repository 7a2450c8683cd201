"""The usual height of class maps, by which a viewer can scale those of one image."""

import numpy as np
import torch

from model.agcnn import Agcnn
from training.data.cache import Canvases

QUANTILE = 0.99
BATCH = 16
MOST = 512  # images, evenly spread: 25,000 cells of a grid of 7 x 7, of which 250 are above the quantile


@torch.no_grad()
def class_map_quantiles(network: Agcnn, images: Canvases) -> dict[str, float]:
    """Return the 99th percentile of each label's class map over all cells of up to 512 images."""
    device = next(network.parameters()).device
    chosen = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST)).round().astype(np.int64))
    parts = []
    for chunk in np.split(chosen, range(BATCH, len(chosen), BATCH)):
        maps = network.eval()(images.batch(chunk)[0].to(device)).class_maps.float().cpu().numpy()
        parts.append(maps.transpose(1, 0, 2, 3).reshape(maps.shape[1], -1))  # [K or more, cells]
    heights = np.quantile(np.concatenate(parts, 1), QUANTILE, axis=1)
    return {label: float(height) for label, height in zip(images.labels, heights, strict=False)}
