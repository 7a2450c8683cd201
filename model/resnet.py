"""ResNet-50 (He et al., CVPR 2016), named as torchvision's so that published weights load.

The stride of a group is in the 3 × 3 of its first block, as in torchvision ("v1.5"), not in the 1 × 1 as in the paper.
"""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from model.normalisation import fold

CHANNELS = 2048
EXPANSION = 4
WIDTHS = (64, 128, 256, 512)  # channels of the 3 × 3 in each group
BLOCKS = (3, 4, 6, 3)  # blocks in each group

Spatial = Callable[[int, int], nn.Module]  # (channels, stride) to the module in place of the 3 × 3
Gate = Callable[[int], nn.Module]  # channels to the module between a block's branch and the addition


def convolution(channels: int, stride: int) -> nn.Module:
    """Return the 3 × 3 convolution of a plain block."""
    return nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)


def ungated(_channels: int) -> nn.Module:
    """Return the identity, for a plain block."""
    return nn.Identity()


class Bottleneck(nn.Module):
    """1 × 1 to `width` channels, `spatial`, 1 × 1 to four times the width, `gate`; added to the input.

    Parameters
    ----------
    channels
        Number of channels of the input.
    stride
        1, or 2 to halve height and width.
    """

    def __init__(self, channels: int, width: int, stride: int, spatial: Spatial, gate: Gate) -> None:
        super().__init__()
        wide = EXPANSION * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = spatial(width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, wide, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(wide)
        self.gate = gate(wide)
        self.downsample = nn.Identity() if channels == wide else shortcut(channels, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, 4 width, h / stride, w / stride]`, ≥ 0."""
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.gate(self.bn3(self.conv3(y)))
        total: Tensor = y + self.downsample(x)
        return total.relu()


def shortcut(channels: int, wide: int, stride: int) -> nn.Sequential:
    """Return the projection that replaces the identity where the shape changes."""
    return nn.Sequential(nn.Conv2d(channels, wide, 1, stride=stride, bias=False), nn.BatchNorm2d(wide))


def stem() -> OrderedDict[str, nn.Module]:
    """Map `[B, 1, H, W]` to `[B, 64, H / 4, W / 4]`."""
    return OrderedDict(
        conv1=nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, stride=2, padding=1),
    )


def resnet50(
    begin: Callable[[], OrderedDict[str, nn.Module]] = stem,
    spatials: Sequence[Spatial] = (convolution,) * 4,
    gate: Gate = ungated,
) -> nn.Sequential:
    """Build the trunk from one normalised grey channel to features `[B, 2048, H / 32, W / 32]`, ≥ 0.

    Convolutions have He initialisation; each block is initialised as its shortcut, with its last batch norm at zero
    (Goyal et al. 2017).

    Parameters
    ----------
    begin
        Function that returns the layers before the first group.
    spatials
        Modules in place of the 3 × 3 in each of the four groups.
    gate
        Module between every block's branch and the addition.
    """
    parts = begin()
    channels = 64
    for number, (width, blocks, spatial) in enumerate(zip(WIDTHS, BLOCKS, spatials, strict=True), 1):
        stride = 1 if number == 1 else 2
        first = Bottleneck(channels, width, stride, spatial, gate)
        channels = EXPANSION * width
        rest = [Bottleneck(channels, width, 1, spatial, gate) for _ in range(blocks - 1)]
        parts[f"layer{number}"] = nn.Sequential(first, *rest)
    trunk = nn.Sequential(parts)
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)
    return trunk


def to_grey(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold a three-channel `conv1` `[64, 3, 7, 7]` into one channel `[64, 1, 7, 7]`.

    `conv1` has no bias, so the offset goes into the running mean of `bn1`. Folding is exact except in the outermost two
    rows and columns of the output, where the zero padding is one grey value instead of the means of three colours.
    """
    weight, offset = fold(state["features.conv1.weight"])
    mean = state["features.bn1.running_mean"] - offset
    return {**state, "features.conv1.weight": weight, "features.bn1.running_mean": mean}


def branch_name(name: str) -> str:
    """Return the name in a `Branch` of a torchvision parameter: the trunk has no prefix, the classifier is `fc`."""
    if name.startswith("fc."):
        return re.sub(r"^fc\.(?:[01]\.)?", "classifier.", name)  # in a sequence, before a sigmoid or after a dropout
    return f"features.{name}" if name.startswith(("conv1.", "bn1.", "layer")) else name
