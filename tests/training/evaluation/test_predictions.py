from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.errors import TrainingError
from training.evaluation import predictions
from training.fit.config import TrainConfig


@pytest.fixture
def predicted(canvases: Canvases, small: TrainConfig) -> predictions.Predictions:
    torch.manual_seed(0)
    return predictions.predict(Agcnn(small.network), canvases)


def test_logits_are_the_network_s_in_order(
    predicted: predictions.Predictions, canvases: Canvases, small: TrainConfig
) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        output = Agcnn(small.network).eval()(canvases.batch(np.array([5]))[0])
    for logits, expected in zip(predicted.logits, (output.fusion, output.global_, output.local), strict=True):
        np.testing.assert_allclose(logits[5], expected[0].numpy(), atol=1e-5)


def test_files_give_back_what_was_saved(predicted: predictions.Predictions, tmp_path: Path) -> None:
    predictions.save(tmp_path / "p.npz", predicted)
    again = predictions.load(tmp_path / "p.npz")
    np.testing.assert_array_equal(again.logits, predicted.logits)
    np.testing.assert_array_equal(again.boxes, predicted.boxes)
    np.testing.assert_array_equal(again.peaks, predicted.peaks)
    assert predicted.class_peaks is not None
    np.testing.assert_array_equal(again.class_peaks, predicted.class_peaks)
    old = replace(predicted, class_peaks=None)
    predictions.save(tmp_path / "p.npz", old)
    assert predictions.load(tmp_path / "p.npz").class_peaks is None
    parts = [predicted.subset(np.arange(8)), predicted.subset(np.arange(8, len(predicted)))]
    np.testing.assert_array_equal(predictions.pool(parts).class_peaks, predicted.class_peaks)
    assert predictions.pool([parts[0], replace(parts[1], class_peaks=None)]).class_peaks is None
    assert again.cases == predicted.cases


def test_the_peak_is_the_middle_of_the_highest_cell() -> None:
    heat = torch.zeros(2, 4, 5)
    heat[0, 3, 1] = 1
    heat[1, 0, 4] = 1
    np.testing.assert_allclose(predictions.peaks(heat), [[0.3, 0.875], [0.9, 0.125]])


def test_a_missing_file_gives_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no predictions"):
        predictions.load(tmp_path / "p.npz")


def test_within_selects_one_collection(predicted: predictions.Predictions) -> None:
    part = predicted.within("B")
    assert [case.image for case in part.cases] == ["16.png", "17.png", "18.png", "19.png"]
    np.testing.assert_array_equal(part.logits, predicted.logits[:, 16:])


def test_folds_are_pooled_and_may_not_overlap(predicted: predictions.Predictions) -> None:
    parts = [predicted.subset(np.arange(12, 20)), predicted.subset(np.arange(12))]
    whole = predictions.pool(parts)
    assert {case.image for case in whole.cases} == {case.image for case in predicted.cases}
    np.testing.assert_array_equal(whole.logits[:, 8:], predicted.logits[:, :12])
    with pytest.raises(TrainingError, match="in more than one"):
        predictions.pool([predicted, parts[0]])


def test_outputs_without_a_label_are_dropped(canvases: Canvases, small: TrainConfig) -> None:
    torch.manual_seed(0)
    network = Agcnn(replace(small.network, findings=15)).eval()
    predicted = predictions.predict(network, canvases)
    assert predicted.logits.shape == (3, 20, 14)
    with torch.no_grad():
        expected = network(canvases.batch(np.array([7]))[0]).global_[0, :14]
    np.testing.assert_allclose(predicted.logits[1, 7], expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(("count", "processes"), [(7, 2), (8, 2), (20, 4), (1, 3)])
def test_batches_are_divided_and_reassembled_in_order(
    canvases: Canvases, small: TrainConfig, monkeypatch: pytest.MonkeyPatch, count: int, processes: int
) -> None:
    monkeypatch.setattr(predictions, "BATCH", 3)
    torch.manual_seed(0)
    network, some = Agcnn(small.network), canvases.subset(np.arange(count))
    sent: list[list[torch.Tensor]] = []

    def process(rank: int) -> Any:
        def all_reduce(tensor: torch.Tensor, reduce_op: str) -> torch.Tensor:
            assert reduce_op == "sum"
            sent[rank].append(tensor.clone())
            return tensor

        device = torch.device("cpu")
        return SimpleNamespace(
            world_size=processes, global_rank=rank, is_global_zero=rank == 0, device=device, all_reduce=all_reduce
        )

    for rank in range(processes):
        sent.append([])
        assert predictions.predict_distributed(process(rank), network, some).cases == some.cases
    whole = predictions.predict(network, some)
    for expected, parts in zip(
        (whole.logits, whole.boxes, whole.peaks, whole.class_peaks), zip(*sent, strict=True), strict=True
    ):
        np.testing.assert_array_equal(torch.stack(parts).sum(0).numpy(), expected)
