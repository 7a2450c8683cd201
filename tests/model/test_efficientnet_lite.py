"""The oracle is EfficientNet-Lite written again, with functions, for the three colours that its weights expect."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.branch import Branch, load_trunk
from model.efficientnet_lite import BUILD, SamePadding
from model.normalisation import normalise

# Kernel and stride of every block of the published Lite0, and whether it has a shortcut
LITE0 = (
    (3, 1, False),
    *((3, 2, False), (3, 1, True)),
    *((5, 2, False), (5, 1, True)),
    *((3, 2, False), (3, 1, True), (3, 1, True)),
    *((5, 1, False), (5, 1, True), (5, 1, True)),
    *((5, 2, False), (5, 1, True), (5, 1, True), (5, 1, True)),
    (3, 1, False),
)
STRIDE16 = tuple((kernel, 1 if number == 11 else stride, cut) for number, (kernel, stride, cut) in enumerate(LITE0))
LAST = {
    "efficientnet_lite0": (15, 320),
    "efficientnet_lite0_stride16": (15, 320),
    "efficientnet_lite1": (20, 320),
    "efficientnet_lite2": (20, 352),
}


def published_name(name: str) -> str:
    """Return `_blocks.0._bn1.weight` of `blocks.0.bn1.weight`: names of modules start with an underscore."""
    *modules, tensor = name.split(".")
    return ".".join([*(part if part.isdigit() else f"_{part}" for part in modules), tensor])


def random_state() -> dict[str, Tensor]:
    """Draw weights under the published names, with a stem for three colours, that keep the variance of features."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, own in BUILD["efficientnet_lite0"]().state_dict().items():
        shape = (32, 3, 3, 3) if name == "conv_stem.weight" else own.shape
        if name.endswith("num_batches_tracked"):
            continue
        draw = torch.randn(shape, generator=generator)
        if len(shape) == 4:
            draw *= (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
        elif name.endswith(("running_var", "weight")):
            draw = 1 + 0.1 * draw.abs()
        state[published_name(name)] = draw
    return state


def conv(x: Tensor, weight: Tensor, stride: int = 1) -> Tensor:
    """Convolve with the padding of TensorFlow's `SAME`, computed for each side."""
    kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
    for axis in (2, 3):
        total = max((-(-x.shape[axis] // stride) - 1) * stride + kernel - x.shape[axis], 0)
        zeros = [0, 0, 0, 0]
        zeros[2 * (3 - axis) : 2 * (3 - axis) + 2] = [total // 2, total - total // 2]
        x = functional.pad(x, zeros)
    return functional.conv2d(x, weight, None, stride, groups=groups)


def reference(
    image: Tensor, state: dict[str, Tensor], blocks: tuple[tuple[int, int, bool], ...]
) -> tuple[Tensor, Tensor]:
    """Compute stem and features of `[B, 1, H, W]` in [0, 1] with weights for three colours, (255 x - 127) / 128."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var, weight, bias = (
            state[f"{name}.{kind}"] for kind in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, weight, bias, eps=1e-3)

    x = ((255 * image - 127) / 128).expand(-1, 3, -1, -1)
    stem = x = norm(conv(x, state["_conv_stem.weight"], 2), "_bn0").clamp(0, 6)
    for number, (_, stride, shortcut) in enumerate(blocks):
        block, start = f"_blocks.{number}", x
        if f"{block}._expand_conv.weight" in state:
            x = norm(conv(x, state[f"{block}._expand_conv.weight"]), f"{block}._bn0").clamp(0, 6)
        x = norm(conv(x, state[f"{block}._depthwise_conv.weight"], stride), f"{block}._bn1").clamp(0, 6)
        x = norm(conv(x, state[f"{block}._project_conv.weight"]), f"{block}._bn2")
        x = x + start if shortcut else x
    return stem, norm(conv(x, state["_conv_head.weight"]), "_bn1").clamp(0, 6)


@pytest.mark.parametrize(
    ("backbone", "blocks"), [("efficientnet_lite0", LITE0), ("efficientnet_lite0_stride16", STRIDE16)]
)
def test_one_channel_gives_the_features_of_three(backbone: str, blocks: tuple[tuple[int, int, bool], ...]) -> None:
    state = random_state()
    branch = Branch(backbone).eval()
    assert load_trunk(branch, state) == ["classifier.bias", "classifier.weight"]
    image = torch.rand(2, 1, 61, 63, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        stem, expected = reference(image, state, blocks)
        own_stem = branch.features[:4](normalise(image))
        assert (own_stem - stem)[..., 1:-1, 1:-1].abs().max() < 1e-5
        actual = branch.features[4:](stem)
    assert expected.max() > 1
    assert (actual - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", sorted(BUILD))
def test_last_block_and_first_convolution_have_the_published_shapes(name: str) -> None:
    number, channels = LAST[name]
    shapes = {key: tuple(value.shape) for key, value in BUILD[name]().state_dict().items()}
    assert shapes[f"blocks.{number}.project_conv.weight"][0] == channels
    assert f"blocks.{number + 1}.project_conv.weight" not in shapes
    assert shapes["conv_stem.weight"] == (32, 1, 3, 3)
    assert shapes["conv_head.weight"] == (1280, channels, 1, 1)


@pytest.mark.parametrize(
    ("kernel", "stride", "side", "zeros"),
    [(3, 2, 128, (0, 1)), (3, 2, 127, (1, 1)), (5, 2, 8, (1, 2)), (5, 1, 8, (2, 2)), (1, 1, 8, (0, 0))],
)
def test_padding_is_that_of_tensorflow(kernel: int, stride: int, side: int, zeros: tuple[int, int]) -> None:
    assert SamePadding(kernel, stride).zeros(side) == zeros
