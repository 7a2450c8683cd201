"""EfficientNet-Lite 0 to 2 (Tan and Le, ICML 2019, without squeeze-and-excitation), named as the published weights."""

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from math import ceil

from torch import Tensor, nn
from torch.nn import functional

from model.normalisation import GREY_MEAN, GREY_STD

CHANNELS = 1280
STEM = 32
# Kernel, repeats, channels, expansion, stride: table 1 of the paper
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 2, 24, 6, 2),
    (5, 2, 40, 6, 2),
    (3, 3, 80, 6, 2),
    (5, 3, 112, 6, 1),
    (5, 4, 192, 6, 2),
    (3, 1, 320, 6, 1),
)
# The published weights expect (255 x - 127) / 128 of each colour x in [0, 1].
PUBLISHED_MEAN = 127 / 255
PUBLISHED_STD = 128 / 255

norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)


class SamePadding(nn.Module):
    """Padding with zeros such that a convolution gives ceil(side / stride) values, as in TensorFlow.

    Of an uneven number of zeros, one more goes to the end.
    """

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        """Pad `[B, C, h, w]`."""
        (top, bottom), (left, right) = (self.zeros(side) for side in x.shape[-2:])
        return functional.pad(x, (left, right, top, bottom))

    def zeros(self, side: int) -> tuple[int, int]:
        """Return the number of zeros before and after a side."""
        total = max((ceil(side / self.stride) - 1) * self.stride + self.kernel - side, 0)
        return total // 2, total - total // 2


class MobileBlock(nn.Module):
    """An inverted residual: expansion by 1 × 1, depthwise convolution, projection; a shortcut if the shape stays."""

    def __init__(self, channels: int, out: int, kernel: int, expansion: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.has_shortcut = stride == 1 and channels == out
        self.has_expansion = expansion > 1
        if self.has_expansion:
            self.expand_conv = nn.Conv2d(channels, wide, 1, bias=False)
            self.bn0 = norm(wide)
            self.relu0 = nn.ReLU6()
        self.pad = SamePadding(kernel, stride)
        self.depthwise_conv = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False)
        self.bn1 = norm(wide)
        self.relu1 = nn.ReLU6()
        self.project_conv = nn.Conv2d(wide, out, 1, bias=False)
        self.bn2 = norm(out)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, C', ceil(h / stride), ceil(w / stride)]`."""
        wide = self.relu0(self.bn0(self.expand_conv(x))) if self.has_expansion else x
        wide = self.relu1(self.bn1(self.depthwise_conv(self.pad(wide))))
        narrow: Tensor = self.bn2(self.project_conv(wide))
        return x + narrow if self.has_shortcut else narrow


def efficientnet_lite(width: float, depth: float, output_stride: int = 32) -> nn.Sequential:
    """Build the trunk from one normalised grey channel to non-negative features.

    `[B, 1, H, W]` to `[B, 1280, ceil(H / s), ceil(W / s)]`, s the output stride, with He initialisation. Stem, head and
    the repeats of the first and last stage are not scaled: this distinguishes Lite from EfficientNet.

    Parameters
    ----------
    width, depth
        Factors of the channels and of the repeats of a stage.
    output_stride
        Side of the image over that of the features; the stages after it is reached have stride 1, without dilation.
    """
    blocks: list[nn.Module] = []
    channels, reached = STEM, 2
    for number, (kernel, repeats, out, expansion, full) in enumerate(STAGES):
        is_scaled = 0 < number < len(STAGES) - 1
        stride = full if reached * full <= output_stride else 1
        reached *= stride
        for repeat in range(ceil(depth * repeats) if is_scaled else repeats):
            blocks.append(MobileBlock(channels, scaled(out, width), kernel, expansion, stride if repeat == 0 else 1))
            channels = scaled(out, width)
    trunk = nn.Sequential(
        OrderedDict(
            pad=SamePadding(3, 2),
            conv_stem=nn.Conv2d(1, STEM, 3, stride=2, bias=False),
            bn0=norm(STEM),
            relu0=nn.ReLU6(),
            blocks=nn.Sequential(*blocks),
            conv_head=nn.Conv2d(channels, CHANNELS, 1, bias=False),
            bn1=norm(CHANNELS),
            relu1=nn.ReLU6(),
        )
    )
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", mode="fan_out")
    return trunk


def scaled(channels: int, width: float) -> int:
    """Scale channels to a multiple of 8, at most a tenth less than the exact product."""
    exact = channels * width
    rounded = max(8, int(exact + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * exact else rounded + 8


BUILD: dict[str, Callable[[], nn.Sequential]] = {
    "efficientnet_lite0": partial(efficientnet_lite, 1.0, 1.0),
    "efficientnet_lite0_stride16": partial(efficientnet_lite, 1.0, 1.0, output_stride=16),
    "efficientnet_lite1": partial(efficientnet_lite, 1.0, 1.1),
    "efficientnet_lite2": partial(efficientnet_lite, 1.1, 1.2),
}


def to_grey(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold the three colours of `conv_stem` `[32, 3, 3, 3]` into one channel `[32, 1, 3, 3]`.

    The weights expect every colour scaled alike, so one channel takes their sum. The other scale of `normalise` goes
    into the weights and, as `conv_stem` has no bias, into the running mean of `bn0`. Folding is exact except at the
    border of the output, where the zero padding is another grey value.
    """
    summed = state["features.conv_stem.weight"].double().sum(1, keepdim=True)
    offset = summed.sum((1, 2, 3)) * ((GREY_MEAN - PUBLISHED_MEAN) / PUBLISHED_STD)
    mean = state["features.bn0.running_mean"] - offset.float()
    weight = (summed * (GREY_STD / PUBLISHED_STD)).float()
    return {**state, "features.conv_stem.weight": weight, "features.bn0.running_mean": mean}


def branch_name(name: str) -> str:
    """Return the name in a `Branch` of a published parameter, such as `_blocks.0._bn1.weight`."""
    plain = re.sub(r"(^|\.)_", r"\1", name)
    return plain if plain == name else re.sub(r"^features\.fc\.", "classifier.", f"features.{plain}")
