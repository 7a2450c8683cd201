"""An independent implementation of the backbones in float64 and NumPy, from the papers: the oracle of the tests."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from model.nonlocal_block import NonLocal

Array = NDArray[np.float64]


class Weights:
    """A state dict under a prefix, as float64."""

    def __init__(self, state: Mapping[str, Tensor], prefix: str = "") -> None:
        self.state, self.prefix = state, prefix

    def __getitem__(self, name: str) -> Array:
        return self.state[self.prefix + name].double().numpy()

    def __contains__(self, name: str) -> bool:
        return any(found.startswith(self.prefix + name) for found in self.state)

    def at(self, name: str) -> "Weights":
        return Weights(self.state, f"{self.prefix}{name}.")


def of(module: nn.Module) -> Weights:
    return Weights(module.state_dict())


def taps(x: Array, size: int, stride: int, padding: int, fill: float) -> Array:
    """[B, C, H, W] to [size, size, B, C, h, w]: the input at each position of a window."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=fill)
    h, w = ((side - size) // stride + 1 for side in x.shape[2:])
    rows = [
        [x[:, :, i : i + stride * h : stride, j : j + stride * w : stride] for j in range(size)] for i in range(size)
    ]
    return np.array([[tap[:, :, :h, :w] for tap in row] for row in rows])


def convolution(x: Array, weight: Array, stride: int = 1, padding: int = 0) -> Array:
    return np.einsum("ijbchw,ocij->bohw", taps(x, weight.shape[-1], stride, padding, 0), weight, optimize=True)


def norm(x: Array, w: Weights) -> Array:
    scale = w["weight"] / np.sqrt(w["running_var"] + 1e-5)
    return (x - w["running_mean"][:, None, None]) * scale[:, None, None] + w["bias"][:, None, None]


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def stem(x: Array, w: Weights, convolution_name: str, norm_name: str) -> Array:
    x = relu(norm(convolution(x, w[f"{convolution_name}.weight"], 2, 3), w.at(norm_name)))
    return taps(x, 3, 2, 1, -np.inf).max((0, 1))


def gate(x: Array, w: Weights, ceiling: float = 1.0) -> Array:
    """Squeeze and excite, one image and one channel after the other."""
    out = np.empty_like(x)
    for image, maps in enumerate(x):
        squeezed = [channel.sum() / channel.size for channel in maps]
        hidden = [max(0.0, float(np.dot(row, squeezed))) for row in w["fc1.weight"]]
        for channel, row in enumerate(w["fc2.weight"]):
            out[image, channel] = maps[channel] * ceiling / (1 + np.exp(-np.dot(row, hidden)))
    return out


def non_local(x: Array, w: Weights) -> Array:
    """Attention from every position i of every image to every position j, in a loop."""
    out = np.empty((x.shape[0], x.shape[1] // 2, *x.shape[2:]))
    theta, phi, g = (
        convolution(x, w[f"{name}.weight"]) + w[f"{name}.bias"][:, None, None] for name in ("theta", "phi", "g")
    )
    places = list(np.ndindex(x.shape[2:]))
    for image in range(len(x)):
        for i in places:
            f = [np.exp(np.dot(theta[image, :, *i], phi[image, :, *j])) for j in places]
            out[image, :, *i] = sum(one * g[image, :, *j] for one, j in zip(f, places, strict=True)) / sum(f)
    return x + norm(convolution(out, w["w_z.weight"]), w.at("bn"))


def bottleneck(x: Array, w: Weights, stride: int) -> Array:
    y = relu(norm(convolution(x, w["conv1.weight"]), w.at("bn1")))
    y = relu(norm(convolution(y, w["conv2.weight"], stride, 1), w.at("bn2")))
    y = norm(convolution(y, w["conv3.weight"]), w.at("bn3"))
    if "gate." in w:
        y = gate(y, w.at("gate"))
    if "downsample." in w:
        x = norm(convolution(x, w["downsample.0.weight"], stride), w.at("downsample.1"))
    return relu(x + y)


def resnet50(x: Array, w: Weights) -> Array:
    """The trunk, with gates and a non-local block if the weights have them."""
    x = stem(x, w, "conv1", "bn1")
    for group, blocks in (("layer1", 3), ("layer2", 4), ("layer3", 6), ("layer4", 3)):
        for block in range(blocks):
            if f"{group}.non_local." in w and block == blocks - 1:
                x = non_local(x, w.at(f"{group}.non_local"))
            x = bottleneck(x, w.at(f"{group}.{block}"), 2 if block == 0 and group != "layer1" else 1)
    return x


def densenet121(x: Array, w: Weights) -> Array:
    """The trunk, with gates if the weights have them."""
    x = stem(x, w, "conv0", "norm0")
    for block, layers in enumerate((6, 12, 24, 16), 1):
        for layer in range(1, layers + 1):
            inner = w.at(f"denseblock{block}.denselayer{layer}")
            y = convolution(relu(norm(x, inner.at("norm1"))), inner["conv1.weight"])
            x = np.concatenate([x, convolution(relu(norm(y, inner.at("norm2"))), inner["conv2.weight"], 1, 1)], 1)
        if f"gate{block}." in w:
            x = gate(x, w.at(f"gate{block}"), 2)
        if block < 4:
            y = convolution(relu(norm(x, w.at(f"transition{block}.norm"))), w[f"transition{block}.conv.weight"])
            x = taps(y, 2, 2, 0, 0).mean((0, 1))
    return relu(norm(x, w.at("norm5")))


def trained(module: nn.Module) -> nn.Module:
    """Set batch norms, gates and attention as after training: none is the identity or uniform."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low, high in (
                (part.weight, 0.5, 1.0),
                (part.bias, -0.5, 0.5),
                (part.running_mean, -0.5, 0.5),
                (part.running_var, 0.5, 2.0),
            ):
                tensor.data.uniform_(low, high)  # type: ignore[union-attr]
        elif isinstance(part, nn.Linear):
            nn.init.normal_(part.weight, std=0.1)
        elif isinstance(part, NonLocal):
            for embedding in (part.theta, part.phi):
                nn.init.normal_(embedding.weight, std=0.05)
    return module.eval()
