"""The oracle is an independent, functional SqueezeNet 1.1 with three input channels, as its weights expect."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.branch import Branch, load_trunk
from model.squeezenet import read_trunk, squeezenet1_1

FIRES = (3, 4, 6, 7, 9, 10, 11, 12)
POOLS_BEFORE = (3, 6, 9)


def reference(image: Tensor, arrays: dict[str, np.ndarray]) -> Tensor:
    """[B, 1, H, W] in [0, 1] to features, by weights over BGR in 0-255 minus Caffe's mean."""

    def conv(x: Tensor, name: str, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = (torch.from_numpy(arrays[f"features.{name}.{kind}"]) for kind in ("weight", "bias"))
        return functional.relu(functional.conv2d(x, weight, bias, stride, padding))

    mean = torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    x = conv(255 * image.expand(-1, 3, -1, -1) - mean, "0", stride=2)
    for fire in FIRES:
        if fire in POOLS_BEFORE:
            x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        squeezed = conv(x, f"{fire}.squeeze")
        x = torch.cat([conv(squeezed, f"{fire}.expand1x1"), conv(squeezed, f"{fire}.expand3x3", padding=1)], 1)
    return x


def random_arrays() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {f"features.{name}": tuple(value.shape) for name, value in squeezenet1_1().state_dict().items()}
    shapes["features.0.weight"] = (64, 3, 3, 3)
    return {
        name: generator.normal(0, np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def assert_one_channel_equals_three(path: Path) -> None:
    branch = Branch("squeezenet1_1").eval()
    assert load_trunk(branch, read_trunk(path)) == ["classifier.bias", "classifier.weight"]
    image = torch.rand(2, 1, 10, 10).repeat_interleave(9, 2).repeat_interleave(9, 3)
    with np.load(path) as arrays:
        expected = reference(image, dict(arrays))
    got = branch(image).features
    assert expected.max() > 1
    assert (got - expected).abs().max() / expected.abs().max() < 1e-5


def test_one_channel_gives_the_outputs_of_three(tmp_path: Path) -> None:
    np.savez(tmp_path / "trunk.npz", **random_arrays())
    assert_one_channel_equals_three(tmp_path / "trunk.npz")


@pytest.mark.realdata
def test_one_channel_gives_the_outputs_of_three_with_the_published_weights(realdata: Path) -> None:
    assert_one_channel_equals_three(realdata / "weights" / "squeezenet1_1_imagenet.npz")


def test_it_has_the_published_number_of_parameters() -> None:
    trunk = sum(parameter.numel() for parameter in squeezenet1_1().parameters())
    two_more_channels = 2 * 64 * 3 * 3
    classifier = 512 * 1000 + 1000
    assert trunk + two_more_channels + classifier == 1_235_496


def test_224_pixels_make_13_by_13_features() -> None:
    assert squeezenet1_1()(torch.zeros(1, 1, 224, 224)).shape == (1, 512, 13, 13)


def test_random_weights_preserve_the_scale_of_activations() -> None:
    features = squeezenet1_1()(torch.randn(2, 1, 96, 96))
    assert 0.1 < features.std() < 10
