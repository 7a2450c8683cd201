from dataclasses import replace

import numpy as np
import pytest
import torch

from model.agcnn import Agcnn
from training.fit.config import TrainConfig
from training.fit.loss import masked_loss
from training.fit.stages import (
    StageView,
    copy_global,
    fill_untrained,
    global_logits,
    shrunk_size,
    stages,
    start_at_prevalence,
    start_from_global,
)

PARTS = {"global": "global_branch", "local": "local_branch", "fusion": "fusion"}


@pytest.fixture
def network(small: TrainConfig) -> Agcnn:
    torch.manual_seed(0)
    return Agcnn(small.network)


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_stage_trains_only_its_part(network: Agcnn, small: TrainConfig, index: int) -> None:
    stage = stages(small)[index]
    view = StageView(network, stage)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.SGD(view.trained(), lr=0.1)
    view.train()
    masked_loss(view(torch.rand(4, 1, 64, 64)), torch.ones(4, 14))[0].backward()
    optimiser.step()
    after = network.state_dict()
    moved = {name.split(".")[0] for name in after if not torch.equal(after[name], before[name])}
    assert moved == {PARTS[stage.name]}
    assert {name for name in PARTS.values() if getattr(network, name).training} >= moved
    for name in stage.frozen:
        assert not getattr(network, name).training
        assert all(parameter.grad is None for parameter in getattr(network, name).parameters())


def test_stages_come_in_the_paper_s_order_with_their_own_numbers() -> None:
    config = TrainConfig(epochs=(3, 2, 1), learning_rates=(0.3, 0.2, 0.1), stages=("fusion", "global"))
    assert [(stage.name, stage.epochs, stage.learning_rate) for stage in stages(config)] == [
        ("global", 3, 0.3),
        ("fusion", 1, 0.1),
    ]
    assert [stage.canvas_size for stage in stages(TrainConfig())] == [448, 896, 896]


@pytest.mark.parametrize(
    ("canvas", "expected"), [(128, 128), (256, 256), (384, 384), (512, 256), (640, 640), (1152, 384)]
)
def test_the_global_branch_needs_no_more_than_about_twice_its_input(canvas: int, expected: int) -> None:
    assert shrunk_size(canvas, 128) == expected


def test_the_global_stage_gives_the_logits_of_the_whole_network(network: Agcnn) -> None:
    canvas = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(global_logits(network, canvas), network(canvas).global_)


def test_the_local_branch_starts_as_the_global_one(network: Agcnn) -> None:
    copy_global(network)
    for name, tensor in network.global_branch.state_dict().items():
        assert torch.equal(network.local_branch.state_dict()[name], tensor)
    assert network.local_branch.classifier.weight is not network.global_branch.classifier.weight


def test_the_fusion_layer_starts_as_the_global_classifier(network: Agcnn) -> None:
    start_from_global(network)
    output = network.eval()(torch.rand(3, 1, 64, 64))
    torch.testing.assert_close(output.fusion, output.global_, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("untrained", [(), ("fusion",), ("local", "fusion")])
def test_parts_that_no_stage_trains_take_the_global_branch_s_weights(
    network: Agcnn, untrained: tuple[str, ...]
) -> None:
    local, fusion = (part.state_dict() for part in (Agcnn(network.config).local_branch, network.fusion))
    network.local_branch.load_state_dict(local)
    own = fusion["classifier.weight"].clone()
    fill_untrained(network, untrained)
    copied = torch.equal(network.local_branch.classifier.weight, network.global_branch.classifier.weight)
    assert copied == ("local" in untrained)
    assert torch.equal(network.fusion.classifier.weight, own) == ("fusion" not in untrained)
    output = network.eval()(torch.rand(2, 1, 64, 64))
    assert torch.allclose(output.fusion, output.global_, atol=1e-5) == ("fusion" in untrained)


def test_the_bias_starts_at_the_log_odds(network: Agcnn) -> None:
    targets = np.zeros((9, 14), np.float32)
    targets[:4, 0] = 1
    targets[2:, 1] = np.nan
    start_at_prevalence(network, targets)
    bias = network.global_branch.classifier.bias
    assert bias[0].item() == pytest.approx(np.log(4.5 / 5.5))
    assert bias[1].item() == pytest.approx(np.log(0.5 / 2.5))


def test_second_look_init_keeps_the_starting_weights(small: TrainConfig, network: Agcnn) -> None:
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for stage in stages(replace(small, second_look="init")):
        stage.start(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    for stage in stages(small):
        stage.start(network)
    assert not torch.equal(network.local_branch.classifier.weight, before["local_branch.classifier.weight"])
