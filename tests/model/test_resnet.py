import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from model.branch import Branch, load_trunk
from model.normalisation import RGB_MEAN, RGB_STD, normalise
from model.resnet import Bottleneck, convolution, resnet50, ungated
from tests.model import by_hand, published

COLOURS = 2 * 64 * 7 * 7  # weights of two more input channels
CLASSIFIER = 2048 * 1000 + 1000


def test_parameters_have_torchvisions_names_and_shapes() -> None:
    expected = {name: value.shape for name, value in published.resnet50().items() if not name.startswith("fc.")}
    expected["conv1.weight"] = torch.Size([64, 1, 7, 7])
    assert {name: value.shape for name, value in resnet50().state_dict().items()} == expected


def test_it_has_the_published_number_of_parameters() -> None:
    trunk = sum(parameter.numel() for parameter in resnet50().parameters())
    assert trunk + COLOURS + CLASSIFIER == 25_557_032


def test_the_operations_are_those_of_the_papers() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        resnet50()(torch.empty(1, 1, 224, 224))
    colours, classifier = 2 * COLOURS * 112 * 112, 2 * 2048 * 1000
    assert counter.get_total_flops() + colours + classifier == pytest.approx(8.2e9, rel=0.04)


def test_forward_equals_the_computation_by_hand() -> None:
    trunk, image = by_hand.trained(resnet50()), torch.randn(1, 1, 32, 64)
    with torch.no_grad():
        output = trunk(image).numpy()
    expected = by_hand.resnet50(image.double().numpy(), by_hand.of(trunk))
    assert output.shape == (1, 2048, 1, 2)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize(("channels", "stride"), [(16, 1), (6, 2), (6, 1)])
def test_a_block_equals_the_computation_by_hand(channels: int, stride: int) -> None:
    block = by_hand.trained(Bottleneck(channels, 4, stride, convolution, ungated))
    image = torch.randn(2, channels, 5, 8)
    expected = by_hand.bottleneck(image.double().numpy(), by_hand.of(block), stride)
    np.testing.assert_allclose(block(image).detach().numpy(), expected, rtol=1e-4, atol=1e-5)


def test_each_block_is_initialised_as_its_shortcut() -> None:
    block = resnet50().get_submodule("layer2")[1].eval()  # type: ignore[index, operator]
    image = torch.rand(1, 512, 4, 4)
    assert torch.equal(block(image), image)


def test_one_small_image_trains_every_parameter() -> None:
    trunk = by_hand.trained(resnet50()).train()
    trunk(torch.rand(1, 1, 64, 64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in trunk.parameters())


def test_a_colour_stem_is_folded_exactly_except_at_the_border() -> None:
    branch = Branch("resnet50").eval()
    state = published.resnet50()
    branch_state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    assert load_trunk(branch, branch_state) == ["classifier.bias", "classifier.weight"]
    image = torch.rand(1, 1, 64, 64)
    mean, std = torch.tensor(RGB_MEAN)[:, None, None], torch.tensor(RGB_STD)[:, None, None]
    weights = by_hand.Weights(state)
    colour = by_hand.convolution(((image - mean) / std).double().numpy(), weights["conv1.weight"], 2, 3)
    expected = by_hand.norm(colour, weights.at("bn1"))
    output = branch.features[:2](normalise(image)).detach().numpy()
    np.testing.assert_allclose(output[:, :, 2:-1, 2:-1], expected[:, :, 2:-1, 2:-1], atol=1e-4)
