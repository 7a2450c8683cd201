from dataclasses import replace

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from model.labels import LABELS
from training.data.cache import Canvases
from training.evaluation import class_maps
from training.fit.config import TrainConfig


@torch.no_grad()
def test_a_hundredth_of_the_cells_is_above_the_quantile(
    canvases: Canvases, small: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = Agcnn(replace(small.network, input_size=64, findings=15)).eval()  # with No Finding, which has no entry
    quantiles = class_maps.class_map_quantiles(network, canvases)
    assert tuple(quantiles) == LABELS
    maps = [network(canvases.batch(np.array([row]))[0]).class_maps[0, 4] for row in range(20)]
    cells = np.sort(torch.stack(maps).numpy().ravel())  # [20 x 9]
    place = 0.99 * (len(cells) - 1)
    below, above = cells[int(place)], cells[int(place) + 1]
    assert quantiles[LABELS[4]] == pytest.approx(below + (place - int(place)) * (above - below), abs=1e-5)
    monkeypatch.setattr(class_maps, "MOST", 2)
    ends = class_maps.class_map_quantiles(network, canvases)
    assert ends == pytest.approx(class_maps.class_map_quantiles(network, canvases.subset(np.array([0, 19]))))
