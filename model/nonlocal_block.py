"""The non-local block (Wang et al., CVPR 2018): attention of every position of a map to all positions.

Embedded Gaussian form, i.e. the weights are a softmax over positions; without positional encoding or pooling of keys.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from model.resnet import EXPANSION, WIDTHS, resnet50


class NonLocal(nn.Module):
    """Add to each position of a map a weighted mean over all positions.

    The block is initialised as the identity (the scale of its batch norm is zero), so that it can be inserted into a
    trained network.

    Parameters
    ----------
    channels
        C, the number of channels, even.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(channels, channels // 2, 1)
        self.phi = nn.Conv2d(channels, channels // 2, 1)
        self.g = nn.Conv2d(channels, channels // 2, 1)
        self.w_z = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(channels)
        for embedding in (self.theta, self.phi, self.g):
            # As in the authors' code. With He initialisation the softmax over sums of C / 2 products would saturate.
            nn.init.normal_(embedding.weight, std=0.01)
            nn.init.zeros_(embedding.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.bn.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, C, h, w]`; time and memory grow with (hw)²."""
        theta = self.theta(x)
        weights = torch.einsum("bci,bcj->bij", theta.flatten(2), self.phi(x).flatten(2)).softmax(2)  # f / C(x), Eq. 3
        y = torch.einsum("bij,bcj->bci", weights, self.g(x).flatten(2))  # Eq. 1
        z: Tensor = self.bn(self.w_z(y.reshape_as(theta))) + x  # Eq. 6
        return z


def nonlocal_resnet50() -> nn.Sequential:
    """Build ResNet-50 with one non-local block before the last residual block of res4.

    `[B, 1, H, W]` to `[B, 2048, H / 32, W / 32]`, ≥ 0. He et al. count the stem as the first stage, so res4 is the
    third group, the one of six blocks, `layer3`. The residual blocks keep torchvision's names.
    """
    trunk = resnet50()
    *earlier, last = trunk.get_submodule("layer3").named_children()
    block = ("non_local", NonLocal(EXPANSION * WIDTHS[2]))
    trunk.set_submodule("layer3", nn.Sequential(OrderedDict([*earlier, block, last])))
    return trunk
