from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.progress import TimeRemainingColumn
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit import loop as fit
from training.fit.config import TrainConfig
from training.fit.devices import create_fabric, create_fabric_for
from training.fit.learner import Learner
from training.fit.logs import Epoch
from training.fit.loop import Data, Loop, best
from training.fit.pooled import UNCHANGED, PooledVectors
from training.fit.stages import pooled_vectors, stages


def start(config: TrainConfig) -> Agcnn:
    torch.manual_seed(config.seed)
    return Agcnn(config.network)


def labelled(canvases: Canvases, targets: np.ndarray) -> Canvases:
    rows = zip(canvases.cases, targets.tolist(), strict=True)
    return replace(canvases, cases=tuple(replace(case, findings=tuple(row)) for case, row in rows))


def trained(canvases: Canvases, config: TrainConfig, run: Path) -> Agcnn:
    run.mkdir(exist_ok=True)
    network = start(config)
    fit.fit(create_fabric_for(config), network, Data(canvases, None), config, run)
    return network


def test_a_run_that_is_resumed_after_each_epoch_ends_with_the_same_tensors(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = trained(canvases, small, tmp_path / "whole")
    save = Loop.save

    def killed(self: Loop, learner: Learner) -> None:
        save(self, learner)
        raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "save", killed)
    for _ in range(sum(small.epochs)):
        with pytest.raises(KeyboardInterrupt):
            trained(canvases, small, tmp_path / "broken")
    monkeypatch.undo()
    resumed = trained(canvases, small, tmp_path / "broken")
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_training_learns(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    brightness = canvases.pixels.mean((1, 2))
    targets = np.repeat((brightness > np.median(brightness))[:, None], 14, 1).astype(np.float32)
    config = replace(small, stages=("global",), epochs=(60, 1, 1), learning_rates=(3e-3, 1, 1), balance=False)
    (tmp_path / "run").mkdir()
    history = fit.fit(
        create_fabric_for(config), start(config), Data(labelled(canvases, targets), None), config, tmp_path / "run"
    )
    assert history[-1].loss < 0.6 * history[0].loss


@pytest.mark.parametrize("views", [1, 2])
def test_kept_vectors_teach_the_fusion_layer_the_same(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, views: int
) -> None:
    """Without augmentation a view is the same in every epoch, so that keeping it changes nothing but the time."""
    config = replace(small, stages=("fusion",), epochs=(1, 1, 3), augmentation=UNCHANGED, optimiser="sgd")
    config = replace(config, learning_rates=(1.0, 1.0, 0.1))
    networks, scores = [], []
    for fusion_views in (0, views):
        run, network = tmp_path / str(fusion_views), start(config)
        run.mkdir()
        settings = replace(config, fusion_views=fusion_views)
        history = fit.fit(create_fabric_for(config), network, Data(canvases, canvases), settings, run)
        networks.append(network.fusion.classifier.weight)
        scores.append([(epoch.loss, epoch.auroc) for epoch in history])
    torch.testing.assert_close(networks[1], networks[0], atol=1e-5, rtol=1e-4)
    assert (networks[0] - start(config).fusion.classifier.weight).abs().max() > 0.01
    np.testing.assert_allclose(scores[1], scores[0], atol=1e-4)


def test_a_view_is_computed_once_and_augmented(canvases: Canvases, small: TrainConfig) -> None:
    network = start(small).eval()
    pooled = PooledVectors(create_fabric_for(small), small)
    first = pooled.train(network, canvases, (7, 2, 0))
    assert pooled.train(network, canvases, (7, 2, 0)) is first
    assert not torch.allclose(pooled.train(network, canvases, (7, 2, 1)), first)
    plain = pooled.held_out(network, canvases)
    torch.testing.assert_close(plain, pooled_vectors(network, canvases.batch(np.arange(20))[0]))
    assert not torch.allclose(plain, first)


def test_select_best_keeps_the_weights_of_the_best_epoch(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores, kept = iter([0.6, 0.8, 0.7]), []
    monkeypatch.setattr(fit, "macro_auroc", lambda scored, targets: next(scores))
    save = Loop.save

    def spy(self: Loop, learner: Learner) -> None:
        save(self, learner)
        kept.append(learner.network.global_branch.classifier.bias.detach().clone())

    monkeypatch.setattr(Loop, "save", spy)
    config = replace(small, stages=("global",), epochs=(3, 1, 1), select="best")
    network = start(config)
    history = fit.fit(create_fabric_for(config), network, Data(canvases, canvases), config, tmp_path)
    assert best(history, "global") is history[1]
    assert torch.equal(network.global_branch.classifier.bias, kept[1])
    assert not torch.equal(kept[1], kept[2])


def test_the_history_has_every_epoch(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    history = fit.fit(create_fabric_for(small), start(small), Data(canvases, canvases), small, tmp_path)
    assert [(epoch.stage, epoch.epoch) for epoch in history] == [
        (stage, epoch) for stage in ("global", "local", "fusion") for epoch in (0, 1)
    ]
    assert all(epoch.auroc is not None and 0 <= epoch.auroc <= 1 for epoch in history)
    saved = checkpoint.load_state(tmp_path / fit.LAST)
    assert saved is not None
    assert [Epoch(**record) for record in saved["history"]] == history
    assert history[-1].learning_rate < history[-2].learning_rate <= small.learning_rates[2]


def test_the_last_epoch_is_best_where_nothing_is_scored() -> None:
    epochs = (("global", 0), ("global", 1), ("local", 0))
    history = [Epoch(stage, epoch, 1.0, None, 1.0, 0.1) for stage, epoch in epochs]
    assert best(history, "global") is history[1]


def test_processes_share_an_epoch() -> None:
    class Fabric:
        world_size = 3

    order = np.random.default_rng(0).permutation(20)
    indices_seen = []
    for rank in range(3):
        fabric = Fabric()
        fabric.global_rank = rank  # type: ignore[attr-defined]
        loop = Loop.__new__(Loop)
        loop.fabric = fabric  # type: ignore[assignment]
        batches = loop.batches(order, 4)
        assert [len(indices) for _, indices in batches] == [4, 2]
        for places, indices in batches:
            np.testing.assert_array_equal(order[places], indices)
            indices_seen += indices.tolist()
    assert len(set(indices_seen)) == 18


@pytest.mark.parametrize(("images", "sizes"), [(8, [4, 4]), (9, [4, 5]), (10, [4, 4, 2]), (1, [1])])
def test_no_image_is_in_a_batch_alone(images: int, sizes: list[int]) -> None:
    loop = Loop.__new__(Loop)
    loop.fabric = create_fabric(1)
    batches = loop.batches(np.arange(images), 4)
    assert [len(indices) for _, indices in batches] == sizes
    assert [index for _, indices in batches for index in indices] == list(range(images))


def test_a_loss_that_is_not_finite_ends_the_run(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    config = replace(small, optimiser="sgd", schedule="step", learning_rates=(1e30, 1.0, 1.0))
    with pytest.raises(TrainingError, match=r"global, epoch [12]: the loss is not finite; try a lower rate"):
        fit.fit(create_fabric_for(config), start(config), Data(canvases, None), config, tmp_path)


@pytest.mark.parametrize("changes", [{"no_finding": True, "positive_weight": True}, {"optimiser": "sgd"}])
def test_a_run_works_with_other_settings(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = replace(small, epochs=(1, 1, 1), select="best", schedule="step", **changes)
    history = fit.fit(create_fabric_for(config), start(config), Data(canvases, canvases), config, tmp_path)
    assert all(np.isfinite(epoch.loss) and epoch.auroc is not None for epoch in history)
    assert history[0].learning_rate == config.learning_rates[0]


def test_images_without_known_targets_do_not_change_the_weights(
    canvases: Canvases, small: TrainConfig, tmp_path: Path
) -> None:
    config = replace(small, stages=("global",), optimiser="sgd", weight_decay=0.0)
    network, initial = start(config), start(config)
    nothing = labelled(canvases, np.full((20, 14), np.nan))
    history = fit.fit(create_fabric_for(config), network, Data(nothing, None), config, tmp_path)
    assert [epoch.loss for epoch in history] == [0, 0]
    assert all(torch.equal(tensor, initial.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_a_run_without_held_out_images_has_pictures_of_those_it_is_trained_on(
    canvases: Canvases, small: TrainConfig, tmp_path: Path
) -> None:
    trained(canvases, replace(small, stages=("global",), epochs=(1, 1, 1)), tmp_path)
    events = EventAccumulator(str(tmp_path / "logs"), size_guidance={"images": 0})
    events.Reload()
    assert events.Tags()["images"] == [case.image for case in canvases.cases[:4]]


def test_the_last_epoch_is_kept_however_well_it_scores(
    canvases: Canvases, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([0.8, 0.6])
    monkeypatch.setattr(fit, "macro_auroc", lambda scored, targets: next(scores))
    config = replace(small, stages=("global",))
    network, alone = start(config), start(config)
    for each, held_out, name in ((network, canvases, "scored"), (alone, None, "alone")):
        (tmp_path / name).mkdir()
        history = fit.fit(create_fabric_for(config), each, Data(canvases, held_out), config, tmp_path / name)
        assert [epoch.auroc for epoch in history] == ([0.8, 0.6] if held_out else [None, None])
    assert all(torch.equal(tensor, alone.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_a_run_keeps_the_mean_of_the_weights(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    weights = {}
    for average in (0.0, 0.9):
        config = replace(small, stages=("global",), average=average)
        (tmp_path / str(average)).mkdir()
        weights[average] = trained(canvases, config, tmp_path / str(average)).global_branch.classifier.weight
    initial = start(small).global_branch.classifier.weight
    assert 0 < (weights[0.9] - initial).norm() < (weights[0.0] - initial).norm()


def test_the_work_of_a_finished_run_adds_up(canvases: Canvases, small: TrainConfig, tmp_path: Path) -> None:
    config = replace(small, stages=("global",), epochs=(1, 1, 1))
    data = Data(canvases, canvases)
    with fit.run_bar(hidden=True) as progress:
        loop = Loop(create_fabric_for(config), config, tmp_path, progress, ())
        loop.expect(stages(config), data)
        assert loop.time_left() == ""
        loop.train(start(config), stages(config)[0], data)
        [whole] = progress.tasks
        assert whole.completed == pytest.approx(whole.total)
        assert loop.time_left() == "  0:00:00 left in all"


def test_the_bar_shows_the_time_left() -> None:
    with fit.run_bar(hidden=True) as bar:
        assert any(isinstance(column, TimeRemainingColumn) for column in bar.columns)
