"""State dicts with the names and shapes of the files that torchvision, CheXNet and TorchXRayVision published."""

from collections.abc import Sequence

import torch
from torch import Tensor

STATISTICS = ("weight", "bias", "running_mean", "running_var")


def norm(name: str, channels: int) -> dict[str, Tensor]:
    steps = {f"{name}.num_batches_tracked": torch.tensor(7)}
    return {f"{name}.{kind}": torch.rand(channels) + 0.5 for kind in STATISTICS} | steps


def convolution(name: str, out: int, into: int, size: int) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.randn(out, into, size, size) * (2 / into) ** 0.5 / size}


def linear(name: str, out: int, into: int) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.randn(out, into) / 100, f"{name}.bias": torch.randn(out)}


def resnet50(numbers: Sequence[int] = (3, 4, 6, 3), channels: int = 3, outputs: int = 1000) -> dict[str, Tensor]:
    """`torchvision.models.resnet50().state_dict()`: 320 entries."""
    state = convolution("conv1", 64, channels, 7) | norm("bn1", 64)
    into = 64
    for layer, (blocks, width) in enumerate(zip(numbers, (64, 128, 256, 512), strict=True), 1):
        for block in range(blocks):
            name = f"layer{layer}.{block}"
            state |= convolution(f"{name}.conv1", width, into, 1) | norm(f"{name}.bn1", width)
            state |= convolution(f"{name}.conv2", width, width, 3) | norm(f"{name}.bn2", width)
            state |= convolution(f"{name}.conv3", 4 * width, width, 1) | norm(f"{name}.bn3", 4 * width)
            if block == 0:
                state |= convolution(f"{name}.downsample.0", 4 * width, into, 1)
                state |= norm(f"{name}.downsample.1", 4 * width)
            into = 4 * width
    return state | linear("fc", outputs, 2048)


def densenet121(numbers: Sequence[int] = (6, 12, 24, 16), channels: int = 3, outputs: int = 1000) -> dict[str, Tensor]:
    """`torchvision.models.densenet121().state_dict()`: 727 entries."""
    state = convolution("features.conv0", 64, channels, 7) | norm("features.norm0", 64)
    channels = 64
    for block, layers in enumerate(numbers, 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            state |= norm(f"{name}.norm1", channels) | convolution(f"{name}.conv1", 128, channels, 1)
            state |= norm(f"{name}.norm2", 128) | convolution(f"{name}.conv2", 32, 128, 3)
            channels += 32
        if block < 4:
            name = f"features.transition{block}"
            state |= norm(f"{name}.norm", channels) | convolution(f"{name}.conv", channels // 2, channels, 1)
            channels //= 2
    return state | norm("features.norm5", channels) | linear("classifier", outputs, channels)


def chexnet(numbers: Sequence[int] = (6, 12, 24, 16)) -> dict[str, Tensor]:
    """CheXNet's state: a DataParallel around a `densenet121` with torchvision's oldest names, with a sigmoid."""
    trunk = {name: value for name, value in densenet121(numbers).items() if name.startswith("features.")}
    channels = len(trunk["features.norm5.weight"])
    for number in ("1", "2"):
        for kind in ("norm", "conv"):
            trunk = {name.replace(f".{kind}{number}.", f".{kind}.{number}."): value for name, value in trunk.items()}
    state = {name: value for name, value in trunk.items() if not name.endswith("num_batches_tracked")}
    state |= linear("classifier.0", 14, channels)
    return {f"module.densenet121.{name}": value for name, value in state.items()}


def torchxrayvision(numbers: Sequence[int] = (6, 12, 24, 16), untrained: Sequence[int] = ()) -> dict[str, Tensor]:
    """`torchxrayvision.models.DenseNet(weights=...).state_dict()`: one channel, 18 outputs, NaN for untrained ones.

    The first batch norm has the statistics of an input of ±1024.
    """
    state = densenet121(numbers, channels=1, outputs=18)
    state["features.norm0.running_var"] *= 1e6
    thresholds = torch.rand(18) / 10
    thresholds[list(untrained)] = torch.nan
    return state | {"op_threshs": thresholds}


def torchxrayvision_resnet(numbers: Sequence[int] = (3, 4, 6, 3), untrained: Sequence[int] = ()) -> dict[str, Tensor]:
    """`torchxrayvision.models.ResNet(weights=...).state_dict()`; the published file lacks prefix and thresholds."""
    state = resnet50(numbers, channels=1, outputs=18)
    state["bn1.running_var"] *= 1e6
    thresholds = torch.full((18,), 0.5)
    thresholds[list(untrained)] = torch.nan
    return {f"model.{name}": value for name, value in state.items()} | {"op_threshs": thresholds}
