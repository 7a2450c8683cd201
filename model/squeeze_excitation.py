"""Squeeze and excitation (Hu et al., CVPR 2018): weight each channel by a function of all channel means.

In ResNet-50 as in the paper: in every block, after the last 1 × 1 and its batch norm, before the addition; without
biases in the gate, as in the paper's ablations: 28.07 M parameters for 3 channels and 1,000 classes. The paper has no
DenseNet; here the gates follow the four dense blocks, the cheapest place where every feature is gated.
"""

from torch import Tensor, nn

from model.densenet import densenet121
from model.resnet import resnet50

REDUCTION = 16  # r


class Gate(nn.Module):
    """Scale each channel of each image by a number between 0 and `ceiling`.

    Parameters
    ----------
    channels
        C, the number of channels of the map.
    ceiling
        Upper limit of the factor; 1 in the paper.
    """

    def __init__(self, channels: int, ceiling: float = 1.0) -> None:
        super().__init__()
        self.ceiling = ceiling
        self.fc1 = nn.Linear(channels, channels // REDUCTION, bias=False)
        self.fc2 = nn.Linear(channels // REDUCTION, channels, bias=False)

    def forward(self, u: Tensor) -> Tensor:
        """Map `[B, C, h, w]` to `[B, C, h, w]`."""
        z = u.mean((2, 3))  # Eq. 2, squeeze: [B, C]
        s = self.ceiling * self.fc2(self.fc1(z).relu()).sigmoid()  # Eq. 3, excitation: [B, C]
        scaled: Tensor = u * s[:, :, None, None]  # Eq. 4
        return scaled


def open_gate(channels: int) -> Gate:
    """Make a gate that initially passes its input unchanged.

    In a network that was trained without gates, a sigmoid of about 0.5 would halve the input of the next layers, and
    without biases it cannot start near 1. Twice a sigmoid of zero is 1, so that the weights need no scaling.
    """
    gate = Gate(channels, ceiling=2.0)
    nn.init.zeros_(gate.fc2.weight)
    return gate


def se_resnet50() -> nn.Sequential:
    """Build ResNet-50 with a gate in every block; `[B, 1, H, W]` to `[B, 2048, H / 32, W / 32]`, ≥ 0.

    Each block is initialised as its shortcut, as in `resnet50`, for any gate. Weights of a plain ResNet-50 fit all
    parts except the gates, which start near 0.5 with the paper's sigmoid and must be opened by training.
    """
    return resnet50(gate=Gate)


def se_densenet121() -> nn.Sequential:
    """Build DenseNet-121 with a gate after every dense block; `[B, 1, H, W]` to `[B, 1024, H / 32, W / 32]`, ≥ 0.

    Its gates are initially open, so that with published weights it computes the same as the plain network.
    """
    return densenet121(gate=open_gate)
