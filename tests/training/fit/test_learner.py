from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.agcnn import Agcnn
from training.fit.config import TrainConfig
from training.fit.devices import create_fabric_for
from training.fit.learner import Learner
from training.fit.stages import stages


@pytest.fixture
def learner(small: TrainConfig) -> Learner:
    torch.manual_seed(0)
    config = replace(small, average=0.5, optimiser="sgd")
    return Learner(create_fabric_for(config), Agcnn(config.network), stages(config)[2], config)


def lost(learner: Learner) -> Tensor:
    logits: Tensor = learner.view(torch.ones(2, 1, 64, 64))
    return logits.square().mean()


def test_the_average_is_over_all_steps(learner: Learner) -> None:
    weight = learner.network.fusion.classifier.weight
    expected = weight.detach().clone()
    for number in range(6):
        learner.step(lost(learner), 0.1, number)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight.detach()
    own = weight.detach().clone()
    with learner.averaged():
        torch.testing.assert_close(weight.detach(), expected)
        learner.select()
    assert torch.equal(weight, own)
    assert not torch.equal(weight, expected)
    learner.finish()
    torch.testing.assert_close(weight.detach(), expected)


def test_a_step_changes_only_the_part_of_the_stage(learner: Learner) -> None:
    before = {name: tensor.clone() for name, tensor in learner.network.state_dict().items()}
    learner.step(lost(learner), 0.1, 0)
    after = learner.network.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == {
        "fusion.classifier.weight",
        "fusion.classifier.bias",
    }


def test_a_restored_learner_continues_alike(small: TrainConfig, learner: Learner) -> None:
    learner.step(lost(learner), 0.1, 0)
    learner.select()
    saved = deepcopy(learner.state())
    config = replace(small, average=0.5, optimiser="sgd")
    other = Learner(create_fabric_for(config), Agcnn(config.network), stages(config)[2], config)
    other.restore(saved)
    for one in (learner, other):
        one.step(lost(one), 0.1, 1)
    for mine, theirs in zip(learner.average + learner.weights(), other.average + other.weights(), strict=True):
        assert torch.equal(mine, theirs)
    assert all(torch.equal(other.selected[name], tensor) for name, tensor in saved["selected"].items())
