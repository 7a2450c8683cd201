import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from model.densenet import densenet121
from model.resnet import resnet50
from model.squeeze_excitation import Gate, open_gate, se_densenet121, se_resnet50
from tests.model import by_hand


def parameters(trunk: nn.Module) -> int:
    return sum(parameter.numel() for parameter in trunk.parameters())


def flops(trunk: nn.Module) -> int:
    with FlopCounterMode(display=False) as counter:
        trunk.to("meta")(torch.empty(1, 1, 224, 224, device="meta"))
    return counter.get_total_flops()


def test_a_gate_by_hand() -> None:
    gate = Gate(32)
    nn.init.zeros_(gate.fc1.weight)
    gate.fc1.weight.data[0, 0], gate.fc1.weight.data[1, 0] = 2, -1  # the second is stopped by the ReLU
    nn.init.zeros_(gate.fc2.weight)
    gate.fc2.weight.data[3] = torch.tensor([0.5, 100.0])
    maps = torch.ones(1, 32, 1, 2)
    maps[0, 0] = torch.tensor([1.0, 3.0])  # its mean is 2, so the excitation of channel 3 is sigmoid(0.5 × 4)
    scales = gate(maps)[0] / maps[0]
    assert torch.allclose(scales[3], torch.tensor(0.8807971))
    assert torch.allclose(scales[:3], torch.tensor(0.5))


@pytest.mark.parametrize("ceiling", [1.0, 2.0])
def test_a_gate_equals_a_loop(ceiling: float) -> None:
    gate, maps = Gate(48, ceiling), torch.randn(3, 48, 4, 5)
    expected = by_hand.gate(maps.double().numpy(), by_hand.of(gate), ceiling)
    np.testing.assert_allclose(gate(maps).detach().numpy(), expected, rtol=1e-4, atol=1e-6)


def test_an_open_gate_passes_its_input_and_learns() -> None:
    gate, maps = open_gate(32), torch.randn(2, 32, 3, 3)
    assert torch.equal(gate(maps), maps)
    gate(maps).square().sum().backward()
    assert gate.fc2.weight.grad is not None
    assert gate.fc2.weight.grad.any()


def test_the_resnet_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        at_three_channels = parameters(se_resnet50()) + 2 * 64 * 7 * 7 + 2048 * 1000 + 1000
        gates = parameters(se_resnet50()) - parameters(resnet50())
    assert gates == 2 * (3 * 256**2 + 4 * 512**2 + 6 * 1024**2 + 3 * 2048**2) // 16  # the paper's 2/r Σ N C²
    assert at_three_channels == pytest.approx(28.07e6, abs=5e3)


def test_gates_hardly_add_operations_to_the_resnet() -> None:
    plain, gated = flops(resnet50()), flops(se_resnet50())
    assert 1 < gated / plain < 1.0026  # the paper's 3.86 to 3.87 GFLOPs


def test_the_densenet_has_three_hundred_thousand_parameters_more() -> None:
    with torch.device("meta"):
        more = parameters(se_densenet121()) - parameters(densenet121())
    assert more == 2 * (256**2 + 512**2 + 1024**2 + 1024**2) // 16 == 303_104


def test_forward_of_the_resnet_equals_the_computation_by_hand() -> None:
    trunk, image = by_hand.trained(se_resnet50()), torch.randn(1, 1, 32, 64)
    expected = by_hand.resnet50(image.double().numpy(), by_hand.of(trunk))
    with torch.no_grad():
        output = trunk(image).numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_forward_of_the_densenet_equals_the_computation_by_hand() -> None:
    trunk, image = by_hand.trained(se_densenet121()), torch.randn(1, 1, 32, 64)
    expected = by_hand.densenet121(image.double().numpy(), by_hand.of(trunk))
    with torch.no_grad():
        output = trunk(image).numpy()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_the_densenet_is_initialised_as_the_plain_one() -> None:
    plain, gated = by_hand.trained(densenet121()), se_densenet121().eval()
    missing, unexpected = gated.load_state_dict(plain.state_dict(), strict=False)
    assert sorted(missing) == [f"gate{block}.fc{n}.weight" for block in (1, 2, 3, 4) for n in (1, 2)]
    assert unexpected == []
    image = torch.randn(1, 1, 64, 64)
    assert torch.equal(gated(image), plain(image))


@pytest.mark.parametrize("build", [se_resnet50, se_densenet121])
def test_one_small_image_trains_every_parameter(build) -> None:
    trunk = by_hand.trained(build()).train()
    trunk(torch.rand(1, 1, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trunk.parameters())
