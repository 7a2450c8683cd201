"""DenseNet-121 (Huang et al., CVPR 2017), named as torchvision's so that published weights load."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from model.normalisation import fold

CHANNELS = 1024
GROWTH = 32
BOTTLENECK = 4 * GROWTH
BLOCKS = (6, 12, 24, 16)


class DenseLayer(nn.Module):
    """A 1 × 1 bottleneck and a 3 × 3 convolution, whose 32 new channels are appended to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, C + 32, h, w]`."""
        squeezed = self.conv1(self.norm1(x).relu())
        return torch.cat([x, self.conv2(self.norm2(squeezed).relu())], 1)


def densenet121(gate: Callable[[int], nn.Module] | None = None) -> nn.Sequential:
    """Build the trunk from one normalised grey channel to features, named as torchvision's `features`.

    `[B, 1, H, W]` to `[B, 1024, H / 32, W / 32]`; He initialisation. A ReLU follows `norm5`: torchvision applies it
    outside `features`, and the paper does not say whether the heat map is taken before or after; here it is after.

    Parameters
    ----------
    gate
        Function from channels to a module that each dense block's output passes; None in the plain network.
    """
    parts = _stem()
    channels = 64
    for number, layers in enumerate(BLOCKS, 1):
        parts[f"denseblock{number}"] = _block(channels, layers)
        channels += layers * GROWTH
        if gate:
            parts[f"gate{number}"] = gate(channels)
        if number < len(BLOCKS):
            parts[f"transition{number}"] = _transition(channels)
            channels //= 2
    parts["norm5"] = nn.BatchNorm2d(channels)
    parts["relu5"] = nn.ReLU()
    trunk = nn.Sequential(parts)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    return trunk


def to_grey(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold a three-channel `conv0` `[64, 3, 7, 7]` into one channel `[64, 1, 7, 7]`.

    `conv0` has no bias, so the offset goes into the running mean of `norm0`. Folding is exact except in the outermost
    two rows and columns of the output, where the zero padding is one grey value instead of the means of three colours.
    """
    weight, offset = fold(state["features.conv0.weight"])
    mean = state["features.norm0.running_mean"] - offset
    return {**state, "features.conv0.weight": weight, "features.norm0.running_mean": mean}


def branch_name(name: str) -> str:
    """Return the name in a `Branch` of a published parameter.

    `norm.1` of torchvision's first weights was renamed to `norm1`; CheXNet's `classifier.0` precedes a sigmoid, and
    `classifier.1` follows a dropout.
    """
    name = re.sub(r"(denselayer\d+\.(?:norm|conv))\.(\d)\.", r"\1\2.", name)
    return re.sub(r"^classifier\.[01]\.", "classifier.", name)


def _stem() -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        conv0=nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(64),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, stride=2, padding=1),
    )


def _block(channels: int, layers: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict((f"denselayer{n + 1}", DenseLayer(channels + n * GROWTH)) for n in range(layers)),
    )


def _transition(channels: int) -> nn.Sequential:
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2),
        ),
    )
