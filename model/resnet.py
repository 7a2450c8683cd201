"""ResNet-50 (He et al., CVPR 2016), named as torchvision's so that published weights load.

The stride of a group is on the 3 × 3 of its first block, as in torchvision ("v1.5"), not on the 1 × 1 of the paper.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from model.normalisation import fold

CHANNELS = 2048
EXPANSION = 4
WIDTHS = (64, 128, 256, 512)  # of the groups' 3 × 3
BLOCKS = (3, 4, 6, 3)  # of the groups

Spatial = Callable[[int, int], nn.Module]  # (channels, stride) to what stands for the 3 × 3
Gate = Callable[[int], nn.Module]  # channels to what a block's branch passes before the addition


def convolution(channels: int, stride: int) -> nn.Module:
    """The 3 × 3 of a plain block."""
    return nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)


def ungated(_channels: int) -> nn.Module:
    """Pass what a plain block's branch computes."""
    return nn.Identity()


class Bottleneck(nn.Module):
    """1 × 1 to `width` channels, `spatial`, 1 × 1 to four times the width, `gate`; added to the input.

    Parameters
    ----------
    channels
        Of the input.
    stride
        2 halves height and width.
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
    """The projection that stands for the identity where the shape changes."""
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
    """Trunk from one normalised grey channel to features `[B, 2048, H / 32, W / 32]`, ≥ 0.

    He initialisation of every convolution; each block begins as its shortcut, its last batch norm at zero (Goyal et al.
    2017).

    Parameters
    ----------
    begin
        Gives the layers before the first group.
    spatials
        What stands for the 3 × 3 in each of the four groups.
    gate
        What every block's branch passes before the addition.
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
    """Fold a three-channel `conv1` into one channel.

    `conv1` has no bias, so the constant goes into the running mean of `bn1`. Exact but for the outermost two rows and
    columns of `conv1`: its zero padding there stands for one grey, not for the three means of the colours.
    """
    weight, offset = fold(state["features.conv1.weight"])
    mean = state["features.bn1.running_mean"] - offset
    return {**state, "features.conv1.weight": weight, "features.bn1.running_mean": mean}


def branch_name(name: str) -> str:
    """Name in a `Branch` of a parameter that torchvision names: its trunk has no prefix, its classifier is `fc`."""
    if name.startswith("fc."):
        return name.replace("fc.", "classifier.", 1)
    return f"features.{name}" if name.startswith(("conv1.", "bn1.", "layer")) else name
