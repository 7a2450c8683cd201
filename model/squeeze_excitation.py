"""Squeeze and excitation (Hu et al., CVPR 2018): weigh each channel by what the whole map says of it.

In ResNet-50 as in the paper: in every block, after the last 1 × 1 and its batch norm, before the addition, without
biases in the gate as in the paper's ablations: 28.07 M parameters at 3 channels and 1,000 classes. The paper has no
DenseNet; here the gates stand on the outputs of the four dense blocks, the cheapest place that gates every feature.
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
        C, of the map.
    ceiling
        1 for the paper's sigmoid.
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
    """Make a gate that passes its input unchanged until it has learned otherwise.

    Fitted into a network that was trained without it, a sigmoid near its middle would halve what the next layers know;
    without biases it cannot begin near 1. Twice a sigmoid of zero is 1, and nothing before the gate need be scaled.
    """
    gate = Gate(channels, ceiling=2.0)
    nn.init.zeros_(gate.fc2.weight)
    return gate


def se_resnet50() -> nn.Sequential:
    """ResNet-50 with a gate in every block; `[B, 1, H, W]` to `[B, 2048, H / 32, W / 32]`, ≥ 0.

    Each block begins as its shortcut, as in `resnet50`, whatever its gate says. Weights of a plain ResNet-50 fit all
    but the gates, which then begin near a half: that is the paper's sigmoid, and training has to open them.
    """
    return resnet50(gate=Gate)


def se_densenet121() -> nn.Sequential:
    """DenseNet-121 with a gate on the output of every dense block; `[B, 1, H, W]` to `[B, 1024, H / 32, W / 32]`, ≥ 0.

    It begins as the plain network, so that published weights of that one are not disturbed.
    """
    return densenet121(gate=open_gate)
