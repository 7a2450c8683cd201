import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.fit.config import TrainConfig
from training.fit.logs import Epoch, Logs, overlays


def epoch(number: int, auroc: float | None = 0.7) -> Epoch:
    return Epoch("global", number, 0.5 - number / 10, auroc, 100.0, 1e-3)


def logged(run: Path) -> EventAccumulator:
    events = EventAccumulator(str(run / "logs"), size_guidance={"images": 0})
    events.Reload()
    return events


def test_an_epoch_that_is_trained_again_is_logged_once(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    first = Logs(tmp_path, 0)
    network = Agcnn(small.network)
    for number in range(3):
        first.numbers([epoch(other) for other in range(number + 1)])
        first.pictures(network, canvases, number)
    first.close()  # as if killed before the third epoch was saved
    again = Logs(tmp_path, 2)
    again.numbers([epoch(0), epoch(1), epoch(2, None)])
    again.close()
    board = logged(tmp_path)
    assert [(event.step, round(event.value, 3)) for event in board.Scalars("global/loss")] == [
        (0, 0.5),
        (1, 0.4),
        (2, 0.3),
    ]
    assert [event.step for event in board.Scalars("global/auroc")] == [0, 1]
    assert {"global/learning_rate", "global/images_per_second"} <= set(board.Tags()["scalars"])
    assert board.Tags()["images"] == [f"{number}.png" for number in range(4)]
    assert [event.step for event in board.Images("0.png")] == [0, 1]
    with (tmp_path / "logs" / "epochs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["auroc"]) for row in rows] == [("0", "0.7"), ("1", "0.7"), ("2", "")]


def test_pictures_show_the_canvas(canvases: Canvases, small: TrainConfig) -> None:
    torch.manual_seed(0)
    network = Agcnn(small.network)
    drawn = overlays(network, canvases.subset(np.array([5, 2])))
    assert list(drawn) == ["5.png", "2.png"]
    for name, number in (("5.png", 5), ("2.png", 2)):
        assert drawn[name].shape == (64, 64, 3)
        same = np.corrcoef(drawn[name].mean(2).ravel(), canvases.pixels[number].ravel())[0, 1]
        other = np.corrcoef(drawn[name].mean(2).ravel(), canvases.pixels[9].ravel())[0, 1]
        assert same > other


@pytest.mark.parametrize("size", [64, 896])
def test_pictures_stay_small(small: TrainConfig, size: int) -> None:
    config = TrainConfig(canvas_size=size, input_size=32)
    pixels = np.random.default_rng(0).integers(0, 256, (1, size, size), dtype=np.uint8)
    from tests.training.cases import cases

    images = Canvases("one", pixels, np.arange(1), cases(np.zeros((1, 14))))
    assert overlays(Agcnn(config.network), images)["0"].shape == (min(size, 448), min(size, 448), 3)
