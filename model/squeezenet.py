"""SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360), the compact backbone: no batch norm, 13 × 13 features from 224."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from model.normalisation import RGB_MEAN, RGB_STD, fold

CHANNELS = 512
CAFFE_MEAN = (123.68, 116.779, 103.939)  # RGB, 0-255


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1 × 1 and by 3 × 3, concatenate."""

    def __init__(self, channels: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, 2 × expanded, h, w]`, non-negative."""
        squeezed = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1).relu()


def squeezenet1_1() -> nn.Sequential:
    """Build the trunk from one normalised grey channel to non-negative features, named as torchvision's `features`.

    `[B, 1, H, W]` to `[B, 512, h, w]`, with He initialisation, suitable for training from scratch.
    """
    trunk = nn.Sequential(
        nn.Conv2d(1, 64, 3, stride=2),
        nn.ReLU(),
        _shrink(),
        Fire(64, 16, 64),
        Fire(128, 16, 64),
        _shrink(),
        Fire(128, 32, 128),
        Fire(256, 32, 128),
        _shrink(),
        Fire(256, 48, 192),
        Fire(384, 48, 192),
        Fire(384, 64, 256),
        Fire(512, 64, 256),
    )
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return trunk


def to_grey(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Fold `features.0` `[64, 3, 3, 3]` into one channel `[64, 1, 3, 3]`: exact, as it has a bias and no padding."""
    weight, offset = fold(state["features.0.weight"])
    return {**state, "features.0.weight": weight, "features.0.bias": state["features.0.bias"] + offset}


def read_trunk(path: Path) -> dict[str, Tensor]:
    """Read the ImageNet trunk published as `.npz`, as a state for `model.branch.load_trunk`.

    The file's first convolution `[64, 3, 3, 3]` expects BGR in 0-255 minus a mean; it is converted exactly to
    torchvision's convention (RGB in [0, 1], mean and standard deviation).
    """
    # Opened here, because NumPy does not close a file that it opened itself and could not read.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        state = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    rgb = state["features.0.weight"].double().flip(1)  # [64, 3, 3, 3], BGR to RGB
    mean, std, caffe = (torch.tensor(values, dtype=torch.float64) for values in (RGB_MEAN, RGB_STD, CAFFE_MEAN))
    offset = torch.einsum("ocij,c->o", rgb, 255 * mean - caffe)
    state["features.0.weight"] = torch.einsum("ocij,c->ocij", rgb, 255 * std).float()
    state["features.0.bias"] = (state["features.0.bias"].double() + offset).float()
    return state


def _shrink() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
