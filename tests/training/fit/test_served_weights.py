import pytest
import torch
from torch import nn

from model.agcnn import freeze
from model.branch import Branch
from model.self_attention import SelfAttention
from tests.artefacts import tiny_network
from tests.model.thin import DISTINCT
from training.fit.served_weights import LARGE, as_served, fold_batch_norms, round_weights


def with_statistics(trunk: nn.Module) -> nn.Module:
    """Batch norms as after training: none is the identity."""
    generator = torch.Generator().manual_seed(0)
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                tensor.data.uniform_(low, low + 1, generator=generator)  # type: ignore[union-attr]
            module.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[operator, union-attr]
    return trunk.eval()


def test_folding_a_convolution_and_its_norm_by_hand() -> None:
    convolution, norm = nn.Conv2d(1, 1, 1, bias=False), nn.BatchNorm2d(1, eps=0)
    convolution.weight.data.fill_(3)
    for tensor, value in ((norm.weight, 2), (norm.bias, 5), (norm.running_mean, 7), (norm.running_var, 16)):
        tensor.data.fill_(value)  # type: ignore[union-attr]
    trunk = nn.Sequential(convolution, norm, nn.ReLU()).eval()
    assert fold_batch_norms(trunk) == 1
    assert isinstance(trunk[1], nn.Identity)
    assert trunk[0].weight.item() == 1.5  # 3 * 2 / sqrt(16)
    assert trunk[0].bias.item() == 1.5  # 5 - 7 * 2 / sqrt(16)


def test_densenet_keeps_the_norms_before_a_relu() -> None:
    torch.manual_seed(0)
    trunk = with_statistics(Branch("densenet121").features)
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        before = trunk(image)
        assert fold_batch_norms(trunk) == 1 + 58  # norm0, and norm2 of 58 layers
        after = trunk(image)
    left = [name for name, module in trunk.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(left) == 58 + 3 + 1  # norm1 of 58 layers, three transitions, norm5
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4 * before.abs().max().item())


@pytest.mark.parametrize("backbone", DISTINCT)
def test_a_folded_trunk_gives_equal_outputs(backbone: str) -> None:
    torch.manual_seed(0)
    trunk = with_statistics(Branch(backbone).features).double()  # in float64, so that a difference is not rounding
    image = torch.rand(2, 1, 64, 64, dtype=torch.float64)
    with torch.inference_mode():
        before = trunk(image)
        fold_batch_norms(trunk)
        after = trunk(image)
    assert before.std() > 0
    torch.testing.assert_close(after, before, rtol=1e-9, atol=1e-9 * before.max().item())


# Each block of ResNet-50 has three norms, each shortcut and the stem one.
@pytest.mark.parametrize(
    ("backbone", "left"),
    [
        ("resnet50", 0),
        ("se_resnet50", 0),
        ("nonlocal_resnet50", 0),
        ("hybrid_resnet50", 6 + 3),  # after the attention of groups 3 and 4
        ("sasa_conv_stem_resnet50", 16),
        ("sasa_resnet50", 16 + 1),  # and after the stem's
    ],
)
def test_a_resnet_keeps_only_the_norms_after_attention(backbone: str, left: int) -> None:
    trunk = Branch(backbone).features.eval()
    before = sum(isinstance(module, nn.BatchNorm2d) for module in trunk.modules())
    assert fold_batch_norms(trunk) == before - left
    stay = [name for name, module in trunk.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(stay) == left
    for name in stay:
        if ".bn2" in name:
            layer = trunk.get_submodule(name.replace("bn2", "conv2"))
            assert any(isinstance(module, SelfAttention) for module in layer.modules())


def test_squeezenet_has_no_norms() -> None:
    assert fold_batch_norms(Branch("squeezenet1_1").features.eval()) == 0


def test_a_shared_convolution_stays() -> None:
    class Fork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            shared = self.convolution(x)
            return torch.add(self.norm(shared), shared)

    assert fold_batch_norms(Fork().eval()) == 0


def test_large_weights_are_rounded_and_small_ones_are_not() -> None:
    layer = nn.Linear(LARGE, 2)
    weight, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    round_weights(layer)
    torch.testing.assert_close(layer.weight.detach(), weight.half().float(), rtol=0, atol=0)
    torch.testing.assert_close(layer.bias.detach(), bias, rtol=0, atol=0)
    assert not torch.equal(layer.weight, weight)


@pytest.mark.parametrize("value", [70000.0, float("nan"), float("inf")])
def test_a_weight_beyond_float16_is_named(value: float) -> None:
    network = nn.Sequential(nn.Linear(LARGE, 2))
    network[0].weight.data[1, 1] = value
    with pytest.raises(OverflowError, match=r"0\.weight has a weight beyond float16's range"):
        round_weights(network)


def test_as_served_returns_a_rounded_copy() -> None:
    network = tiny_network().train()
    freeze(network.global_branch)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    served = as_served(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.training
    assert not any(module.training for module in served.modules())
    weight = served.local_branch.classifier.weight
    assert torch.equal(weight, network.local_branch.classifier.weight.half().float())
    assert not weight.requires_grad
    twice = as_served(served).state_dict()
    assert all(torch.equal(tensor, twice[name]) for name, tensor in served.state_dict().items())
