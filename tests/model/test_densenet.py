import re

import torch
from torch import Tensor, nn

from model.branch import Branch, load_trunk
from model.densenet import densenet121
from model.normalisation import RGB_MEAN, RGB_STD, normalise

BLOCKS = (6, 12, 24, 16)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names() -> set[str]:
    """The keys of torchvision's `densenet121().features.state_dict()`, written out."""
    convolutions, norms = ["conv0"], ["norm0", "norm5"]
    for block, layers in enumerate(BLOCKS, 1):
        for layer in range(1, layers + 1):
            convolutions += [f"denseblock{block}.denselayer{layer}.conv{n}" for n in (1, 2)]
            norms += [f"denseblock{block}.denselayer{layer}.norm{n}" for n in (1, 2)]
    for transition in (1, 2, 3):
        convolutions.append(f"transition{transition}.conv")
        norms.append(f"transition{transition}.norm")
    return {f"{name}.weight" for name in convolutions} | {f"{name}.{kind}" for name in norms for kind in NORM}


def three_channels(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**state, "features.conv0.weight": torch.randn(64, 3, 7, 7) / 12}


def test_parameters_are_named_as_torchvision_names_them() -> None:
    assert set(densenet121().state_dict()) == torchvision_names()


def test_it_has_the_published_number_of_parameters() -> None:
    trunk = sum(parameter.numel() for parameter in densenet121().parameters())
    two_more_channels = 2 * 64 * 7 * 7
    classifier = 1024 * 1000 + 1000
    assert trunk + two_more_channels + classifier == 7_978_856


def test_224_pixels_make_7_by_7_features_none_of_them_negative() -> None:
    features = densenet121().eval()(torch.randn(1, 1, 224, 224))
    assert features.shape == (1, 1024, 7, 7)
    assert features.min() == 0


def test_a_colour_stem_is_folded_exactly_except_at_the_border() -> None:
    branch = Branch("densenet121").eval()
    state = three_channels(branch.state_dict())
    state["features.norm0.running_mean"] = torch.randn(64)
    colour = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)).eval()
    colour[0].load_state_dict({"weight": state["features.conv0.weight"]})
    colour[1].load_state_dict({kind: state[f"features.norm0.{kind}"] for kind in NORM})
    assert load_trunk(branch, state) == []
    image = torch.rand(2, 1, 64, 64)
    mean, std = torch.tensor(RGB_MEAN)[:, None, None], torch.tensor(RGB_STD)[:, None, None]
    difference = (branch.features[:2](normalise(image)) - colour((image - mean) / std)).abs()
    assert difference[:, :, 2:-1, 2:-1].max() < 1e-4
    assert difference.max() < 1


def test_weights_under_the_older_names_load() -> None:
    branch, other = Branch("densenet121"), Branch("densenet121")
    older = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): value
        for name, value in three_channels(other.state_dict()).items()
        if not name.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in older
    assert load_trunk(branch, older) == []
    assert torch.equal(branch.features.denseblock4[15].conv2.weight, other.features.denseblock4[15].conv2.weight)
