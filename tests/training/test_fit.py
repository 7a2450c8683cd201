from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from training import checkpoint, fit
from training.cache import Canvases
from training.config import TrainConfig
from training.fit import Data, Epoch, Loop, best, schedule


def start(config: TrainConfig) -> Agcnn:
    torch.manual_seed(config.seed)
    return Agcnn(config.network)


def labelled(canvases: Canvases, targets: np.ndarray) -> Canvases:
    rows = zip(canvases.cases, targets.tolist(), strict=True)
    return replace(canvases, cases=tuple(replace(case, findings=tuple(row)) for case, row in rows))


def trained(canvases: Canvases, config: TrainConfig, run: Path) -> Agcnn:
    run.mkdir(exist_ok=True)
    network = start(config)
    fit.fit(fit.launched(config), network, Data(canvases, None), config, run)
    return network


@pytest.mark.parametrize("epochs_before", [1, 2, 3, 5])
def test_a_resumed_run_ends_with_the_same_tensors(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs_before: int
) -> None:
    whole = trained(canvases, small, tmp_path / "whole")
    keep = Loop.keep

    def killed(self: Loop, network: Agcnn, optimiser: object) -> None:
        keep(self, network, optimiser)
        if len(self.history) == epochs_before:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "keep", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(canvases, small, tmp_path / "broken")
    monkeypatch.undo()
    resumed = trained(canvases, small, tmp_path / "broken")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_training_learns(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    brightness = canvases.pixels.mean((1, 2))
    targets = np.repeat((brightness > np.median(brightness))[:, None], 14, 1).astype(np.float32)
    config = replace(small, stages=("global",), epochs=(30, 1, 1), learning_rates=(3e-3, 1, 1), balance=False)
    (tmp_path / "run").mkdir()
    history = fit.fit(
        fit.launched(config), start(config), Data(labelled(canvases, targets), None), config, tmp_path / "run"
    )
    assert history[-1].loss < 0.6 * history[0].loss


def test_best_keeps_the_weights_of_the_best_epoch(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, kept = iter([0.6, 0.8, 0.7]), []
    monkeypatch.setattr(fit, "macro_auroc", lambda view, held_out: next(scores))
    keep = Loop.keep

    def watched(self: Loop, network: Agcnn, optimiser: object) -> None:
        keep(self, network, optimiser)
        kept.append(network.global_branch.classifier.bias.detach().clone())

    monkeypatch.setattr(Loop, "keep", watched)
    config = replace(small, stages=("global",), epochs=(3, 1, 1), select="best")
    network = start(config)
    history = fit.fit(fit.launched(config), network, Data(canvases, canvases), config, tmp_path)
    assert best(history, "global") is history[1]
    assert torch.equal(network.global_branch.classifier.bias, kept[1])
    assert not torch.equal(kept[1], kept[2])


def test_the_history_is_what_happened(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    history = fit.fit(fit.launched(small), start(small), Data(canvases, canvases), small, tmp_path)
    assert [(epoch.stage, epoch.epoch) for epoch in history] == [
        (stage, epoch) for stage in ("global", "local", "fusion") for epoch in (0, 1)
    ]
    assert all(epoch.auroc is not None and 0 <= epoch.auroc <= 1 for epoch in history)
    saved = checkpoint.load_state(tmp_path / fit.LAST)
    assert saved is not None
    assert [Epoch(**record) for record in saved["history"]] == history


def test_the_last_epoch_is_best_where_nothing_is_scored() -> None:
    epochs = (("global", 0), ("global", 1), ("local", 0))
    history = [Epoch(stage, epoch, 1.0, None, 1.0) for stage, epoch in epochs]
    assert best(history, "global") is history[1]


def test_the_schedule_warms_up_and_comes_down() -> None:
    rates = [schedule(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.01
    assert schedule(0, 1) == 1


def test_processes_share_an_epoch(canvases: Canvases, small: TrainConfig) -> None:
    class Fabric:
        world_size = 3

    order = np.random.default_rng(0).permutation(20)
    seen = []
    for rank in range(3):
        fabric = Fabric()
        fabric.global_rank = rank  # type: ignore[attr-defined]
        loop = Loop.__new__(Loop)
        loop.fabric, loop.config = fabric, replace(small, batch_size=4)  # type: ignore[assignment]
        batches = loop.batches(order)
        assert [len(indices) for _, indices in batches] == [4, 2]
        for places, indices in batches:
            np.testing.assert_array_equal(order[places], indices)
            seen += indices.tolist()
    assert len(set(seen)) == 18
