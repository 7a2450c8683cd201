"""Fixtures of the tests of `model/`: a fixed seed, one thread, and random heat maps."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

HeatMaps = Callable[[int, int, float], Tensor]


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    """Set the seed, and use one thread: on small tensors threads wait longer for one another than they compute."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def heat_maps() -> HeatMaps:
    """Return a builder of random maps, smoothed by a Gaussian of `sigma` cells: [count, side, side] in [0, 1]."""

    def build(count: int, side: int, sigma: float) -> Tensor:
        maps = np.random.default_rng(side).random((count, side, side))
        if sigma:
            maps = ndimage.gaussian_filter(maps, (0, sigma, sigma))
        low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
        return torch.from_numpy((maps - low) / (high - low)).float()

    return build
