"""Shared by the tests of `model/`: a fixed seed, one thread, and maps as `heat_map` would scale them."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

HeatMaps = Callable[[int, int, float], Tensor]


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    """One thread of torch, as the tensors are small and other tests run at the same time."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def heat_maps() -> HeatMaps:
    """Uniform random maps [count, side, side], smoothed by a Gaussian of `sigma` cells, each scaled to [0, 1]."""

    def build(count: int, side: int, sigma: float) -> Tensor:
        maps = np.random.default_rng(side).random((count, side, side))
        if sigma:
            maps = ndimage.gaussian_filter(maps, (0, sigma, sigma))
        low, high = maps.min((1, 2), keepdims=True), maps.max((1, 2), keepdims=True)
        return torch.from_numpy((maps - low) / (high - low)).float()

    return build
