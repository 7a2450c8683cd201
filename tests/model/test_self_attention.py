"""Eq. 3 compared with a loop and an unfold form; the networks' sizes and operations with the paper's tables."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from model.attention_stem import CHANNELS, MIXTURES, WINDOW, StemAttention
from model.branch import Branch, load_trunk
from model.resnet import resnet50
from model.self_attention import (
    BLOCK,
    DENSE,
    SIZE,
    SelfAttention,
    attention,
    hybrid_resnet50,
    sasa_conv_stem_resnet50,
    sasa_resnet50,
)

Build = Callable[[], nn.Sequential]
CLASSES = 1000  # ImageNet's classes, for which the paper gives its figures


def looped(layer: SelfAttention, x: Tensor) -> np.ndarray:
    """Compute Eq. 3 one position and one head at a time: [C, h, w] to [C, h, w]."""
    q, k, v = (
        np.einsum("oc,chw->hwo", linear.weight.detach().double().numpy(), x.double().numpy())
        for linear in (layer.query, layer.key, layer.value)
    )
    rows, columns = (embedding.detach().double().numpy() for embedding in (layer.rows, layer.columns))
    height, width, reach, depth = *x.shape[1:], layer.size // 2, layer.depth
    y = np.zeros((height, width, x.shape[0]))
    for i, j, head in np.ndindex(height, width, layer.heads):
        own = slice(head * depth, (head + 1) * depth)
        positions = [
            (a, b)
            for a in range(i - reach, i + reach + 1)
            for b in range(j - reach, j + reach + 1)
            if 0 <= a < height and 0 <= b < width
        ]
        logits = []
        for a, b in positions:
            r = np.concatenate([rows[head, :, a - i + reach], columns[head, :, b - j + reach]])
            logits.append(q[i, j, own] @ k[a, b, own] + q[i, j, own] @ r)
        weights = np.exp(logits - np.max(logits))
        weights /= weights.sum()
        y[i, j, own] = sum(weight * v[a, b, own] for weight, (a, b) in zip(weights, positions, strict=True))
    return y.transpose(2, 0, 1)


def unfolded(layer: SelfAttention, x: Tensor) -> Tensor:
    """Compute Eq. 3 on unfolded neighbourhoods: [B, C, h, w] to [B, C, h, w]."""
    batch, channels, height, width = x.shape
    q, k, v = (functional.conv2d(x, f.weight[:, :, None, None]) for f in (layer.query, layer.key, layer.value))

    def neighbours(maps: Tensor) -> Tensor:
        flat = functional.unfold(maps, layer.size, padding=layer.size // 2)
        return flat.view(batch, -1, layer.depth if maps.shape[1] == channels else 1, layer.size**2, height * width)

    r = torch.cat(
        [
            layer.rows[..., None].expand(-1, -1, -1, layer.size),
            layer.columns[:, :, None].expand(-1, -1, layer.size, -1),
        ],
        1,
    ).flatten(2)  # [heads, d, k²]
    q = q.view(batch, layer.heads, layer.depth, 1, height * width)
    logits = (q * (neighbours(k) + r[None, ..., None])).sum(2)
    inside = neighbours(torch.ones(batch, 1, height, width))[:, :, 0]
    weights = logits.masked_fill(inside == 0, -torch.inf).softmax(2)
    return (weights[:, :, None] * neighbours(v)).sum(3).view(batch, channels, height, width)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (9, 8), (15, 8)])
def test_it_equals_eq_3(height: int, width: int) -> None:
    layer, x = SelfAttention(32, heads=4), torch.randn(32, height, width)
    with torch.no_grad():
        y = layer(x[None])[0]
    np.testing.assert_allclose(y, looped(layer, x), atol=1e-5)


@settings(deadline=None)
@given(height=st.integers(1, 24), width=st.integers(1, 24), size=st.sampled_from([1, 3, 5, 7, 9]))
def test_it_equals_its_unfold_form(height: int, width: int, size: int) -> None:
    layer, x = SelfAttention(16, size, heads=2), torch.randn(2, 16, height, width)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), unfolded(layer, x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(14, 14), (7, 7), (1, 1), (5, 13), (9, 2), (16, 15)])
def test_dense_and_halo_are_equal(height: int, width: int) -> None:
    layer = SelfAttention(32)
    q, k, v = torch.randn(3, 2, height, width, 32)
    with torch.no_grad():
        torch.testing.assert_close(layer.dense(q, k, v), layer.halo(q, k, v), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("side", [DENSE, DENSE + 1, 4 * BLOCK])
def test_the_size_of_the_map_selects_dense_or_halo(side: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    for path in ("dense", "halo"):
        monkeypatch.setattr(SelfAttention, path, lambda self, q, k, v, path=path: calls.append(path) or v)
    SelfAttention(16)(torch.zeros(1, 16, side, 1))
    assert calls == ["dense" if side <= DENSE else "halo"]


def test_a_position_depends_on_its_neighbourhood_only() -> None:
    layer, x = SelfAttention(16), torch.randn(1, 16, 20, 20).requires_grad_()
    layer(x)[0, :, 9, 11].sum().backward()
    positions = x.grad[0].abs().sum(0).nonzero()  # type: ignore[index]
    assert positions.amin(0).tolist() == [9 - 3, 11 - 3]
    assert positions.amax(0).tolist() == [9 + 3, 11 + 3]
    assert len(positions) == SIZE**2


def test_every_head_uses_row_and_column_embeddings() -> None:
    layer = SelfAttention(64)
    for head in range(layer.heads):
        layer.zero_grad()
        y = layer(torch.randn(1, 64, 9, 9))
        y[:, head * layer.depth : (head + 1) * layer.depth].square().sum().backward()
        for embedding in (layer.rows, layer.columns):
            moved = embedding.grad.abs().amin((1, 2)) > 0  # type: ignore[union-attr]
            assert moved.nonzero().flatten().tolist() == [head]


@pytest.mark.parametrize(("along", "other"), [("rows", "columns"), ("columns", "rows")])
def test_an_embedding_encodes_the_direction(along: str, other: str) -> None:
    """A head that attends to the neighbour above (or on the left) shifts the map by one row (or column)."""
    layer, x = SelfAttention(4, heads=1), torch.rand(1, 4, 9, 18)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    nn.init.eye_(layer.value.weight)
    x[:, 0] = 1
    layer.query.weight.data[:, 0] = 100.0  # all queries are equal, whatever the other channels contain
    getattr(layer, along).data[..., SIZE // 2 - 1] = 1
    getattr(layer, other).data[..., SIZE // 2] = 1
    with torch.no_grad():
        y = layer(x)
    if along == "rows":
        torch.testing.assert_close(y[:, :, 1:], x[:, :, :-1])
    else:
        torch.testing.assert_close(y[..., 1:], x[..., :-1])


@settings(deadline=None)
@given(down=st.integers(0, 4), right=st.integers(0, 4))
def test_a_shift_of_the_interior_shifts_the_output(down: int, right: int) -> None:
    layer, patch = SelfAttention(16), torch.randn(1, 16, 6, 6)

    def at(row: int, column: int) -> Tensor:
        x = torch.zeros(1, 16, 24, 24)
        x[..., row : row + 6, column : column + 6] = patch
        with torch.no_grad():
            return layer(x)

    still, moved = at(7, 7), at(7 + down, 7 + right)
    torch.testing.assert_close(
        moved[..., 4 + down : 16 + down, 4 + right : 16 + right], still[..., 4:16, 4:16], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("channels", [64, 512])
def test_no_position_dominates_at_the_start(channels: int) -> None:
    """For features of standard deviation 1 the logits of Eq. 3 have √2 at any depth, so that no weight is nearly 1."""
    layer, x = SelfAttention(channels), torch.randn(200, channels)
    with torch.no_grad():
        q, k = (linear(x).unflatten(1, (layer.heads, layer.depth)) for linear in (layer.query, layer.key))
        r = torch.cat([layer.rows[..., 0], layer.columns[..., 0]], 1)
        logits = (q * (k.flip(0) + r)).sum(2)
    assert 1 < logits.std() < 2


def test_half_precision_does_not_leak_through_the_mask() -> None:
    layer = SelfAttention(16).half()
    x = torch.randn(1, 16, 17, 17).half().requires_grad_()  # the last block has queries without any neighbour
    y = layer(x)
    y.sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    with torch.no_grad():
        torch.testing.assert_close(y.float(), layer.float()(x.float()), atol=2e-2, rtol=2e-2)


@pytest.mark.parametrize("side", [1, 2, 5, 14, 15])
def test_a_stride_is_an_average_pool_after_the_attention(side: int) -> None:
    both, x = attention(16, 2), torch.randn(1, 16, side, side)
    with torch.no_grad():
        y, whole = both(x), both[0](x)
    assert y.shape[2:] == nn.Conv2d(16, 1, 1, stride=2)(x).shape[2:]
    torch.testing.assert_close(y[..., 0, 0], whole[..., :2, :2].mean((2, 3)))
    last = side - 1 - (side - 1) % 2
    torch.testing.assert_close(y[..., -1, -1], whole[..., last:, last:].mean((2, 3)))


@pytest.mark.parametrize(("channels", "size", "message"), [(24, 7, "multiple of 16, got 24"), (32, 4, "odd, got 4")])
def test_unsuitable_channels_and_sizes_are_refused(channels: int, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SelfAttention(channels, size)


# Networks


@pytest.mark.parametrize("build", [sasa_resnet50, sasa_conv_stem_resnet50, hybrid_resnet50])
@pytest.mark.parametrize(("side", "features"), [(32, 1), (64, 2), (72, 3)])
def test_small_inputs_work(build: Build, side: int, features: int) -> None:
    with torch.no_grad():
        y = build().eval()(torch.randn(1, 1, side, side))
    assert y.shape == (1, 2048, features, features)
    assert y.min() >= 0


@pytest.mark.parametrize("build", [sasa_resnet50, sasa_conv_stem_resnet50, hybrid_resnet50])
def test_gradients_reach_every_parameter(build: Build) -> None:
    trunk = build()
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)  # a new block passes only its shortcut
    trunk(torch.randn(2, 1, 96, 96)).square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in trunk.named_parameters()}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert [name for name, gradient in gradients.items() if gradient is not None and not gradient.any()] == []


def test_published_weights_load_except_for_the_attention() -> None:
    plain, hybrid = Branch("resnet50"), Branch("hybrid_resnet50")
    unmatched = load_trunk(hybrid, plain.state_dict())
    assert unmatched
    assert all(".conv2." in name and name.startswith(("features.layer3", "features.layer4")) for name in unmatched)
    assert torch.equal(hybrid.features.layer4[2].conv3.weight, plain.features.layer4[2].conv3.weight)


def parameters(trunk: nn.Sequential) -> int:
    """Count the parameters as the paper does, with three colours and 1000 classes."""
    first = next(module for module in trunk.modules() if isinstance(module, nn.Conv2d | StemAttention))
    per_colour = CHANNELS * (2 + MIXTURES) if isinstance(first, StemAttention) else 64 * 7 * 7
    count = sum(parameter.numel() for parameter in trunk.parameters())
    return count + 2 * per_colour + 2048 * CLASSES + CLASSES


def operations(trunk: nn.Sequential, side: int = 224) -> float:
    """Count operations on one image as the paper does: each multiplication and addition, three colours, 1000 classes.

    Attention is counted by Eq. 3, however the layer computes it (dense attention compares more than k × k): at every
    position, before the pool, k² times a product with the key, an addition of r to the key, and a weighted sum of
    values, which is 2 + 1 + 2 for each channel. This count grows with k as the paper reports: by 0.4 G from k = 3 to 7,
    and by 0.7 G from 7 to 11. Batch norms, activations and pools are not counted.
    """
    total = 0

    def count_convolution(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        total += (
            2 * output.numel() * 3 * 7 * 7 if module.in_channels == 1 else 2 * output.numel() * module.weight[0].numel()
        )

    def count_attention(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, SelfAttention)
        total += 3 * 2 * output.numel() * output.shape[1] + 5 * output.numel() * module.size**2

    def count_stem(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        query_and_key, values = 2 * 2 * 3 * output.numel(), 2 * (3 + 1) * MIXTURES * output.numel()
        total += query_and_key + values + 2 * 2 * output.numel() * WINDOW**2

    hooks = {nn.Conv2d: count_convolution, SelfAttention: count_attention, StemAttention: count_stem}
    for module in trunk.modules():
        if type(module) in hooks:
            module.register_forward_hook(hooks[type(module)])  # type: ignore[index]
    with torch.no_grad():
        trunk.eval()(torch.zeros(1, 1, side, side))
    return total + 2 * 2048 * CLASSES


# Tables 1 and 4 of the paper: billions of operations, millions of parameters.
PUBLISHED = [
    (resnet50, 8.2, 25.6),
    (sasa_conv_stem_resnet50, 7.0, 18.0),
    (sasa_resnet50, 7.2, 18.0),
    (hybrid_resnet50, 7.5, 18.5),
]


@pytest.mark.parametrize(("build", "giga", "mega"), PUBLISHED)
def test_it_has_the_published_size_and_operations(build: Build, giga: float, mega: float) -> None:
    trunk = build()
    assert round(parameters(trunk) / 1e6, 1) == mega
    assert operations(trunk) / 1e9 == pytest.approx(giga, rel=0.04)


def test_convolutions_are_counted_as_torch_counts_them() -> None:
    trunk = resnet50().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        trunk(torch.zeros(1, 1, 64, 64))
    colours = 2 * 2 * 64 * 7 * 7 * 32 * 32
    assert operations(trunk, 64) - 2 * 2048 * CLASSES == counter.get_total_flops() + colours


def test_bfloat16_agrees_with_float32_once_the_norms_have_statistics() -> None:
    """The norms of a new network divide by 1, so that images hardly differ and rounding dominates the difference."""
    torch.manual_seed(0)
    network = sasa_resnet50()
    images = 4 * functional.avg_pool2d(torch.rand(4, 1, 128, 128), 2) - 2
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # statistics are the average over these images
    with torch.no_grad():
        network.train()(images)
        expected = network.eval()(images).mean((2, 3))
        with torch.autocast("cpu", torch.bfloat16):
            actual = network(images).float().mean((2, 3))

    # Relative to the mean over the images, because findings depend on the differences between images.
    difference = functional.cosine_similarity(expected - expected.mean(0), actual - actual.mean(0))
    assert difference.min() > 0.999
