import numpy as np
import pytest
import torch
from torch import Tensor

from model.attention_stem import CHANNELS, HEADS, MIXTURES, WINDOW, StemAttention, attention_stem
from tests.model import by_hand


def looped(layer: StemAttention, x: Tensor) -> np.ndarray:
    """Compute the paper's two equations one pixel and one head at a time: [C, H, W] to [64, H, W]."""
    w = {name: parameter.detach().double().numpy() for name, parameter in layer.named_parameters()}
    pixels, depth = x.double().numpy(), CHANNELS // HEADS
    y = np.zeros((CHANNELS, *pixels.shape[1:]))
    for i, j, head in np.ndindex(*pixels.shape[1:], HEADS):
        own = slice(head * depth, (head + 1) * depth)
        top, left = i - i % WINDOW, j - j % WINDOW
        q = (w["query.weight"] @ pixels[:, i, j])[own]
        logits, values = [], []
        for a, b in np.ndindex(WINDOW, WINDOW):
            pixel = pixels[:, top + a, left + b]
            logits.append(q @ (w["key.weight"] @ pixel)[own])
            p = np.exp([(w["rows"][a] + w["columns"][b]) @ w["mixtures"][m] for m in range(MIXTURES)])
            p /= p.sum()
            values.append(sum(p[m] * (w["values"][m] @ pixel)[own] for m in range(MIXTURES)))
        weights = np.exp(logits - np.max(logits))
        weights /= weights.sum()
        y[own, i, j] = sum(weight * value for weight, value in zip(weights, values, strict=True))
    return y


@pytest.mark.parametrize("channels", [1, 3])
def test_it_equals_the_papers_equations(channels: int) -> None:
    layer, x = StemAttention(channels), torch.randn(channels, 8, 12)
    with torch.no_grad():
        np.testing.assert_allclose(layer(x[None])[0], looped(layer, x), atol=1e-5)


def test_windows_do_not_see_one_another() -> None:
    layer, x = StemAttention(), torch.randn(1, 1, 12, 12).requires_grad_()
    layer(x)[..., 5, 9].sum().backward()
    positions = x.grad[0, 0].nonzero()  # type: ignore[index]
    assert positions.amin(0).tolist() == [4, 8]
    assert positions.amax(0).tolist() == [7, 11]


def test_values_depend_on_their_position() -> None:
    """On a constant image values differ only by their positions."""
    layer = StemAttention()
    with torch.no_grad():
        values = layer.value(torch.ones(1, 1, 16, 1))[0, 0]
    assert len(values.unique(dim=0)) == 16


def test_a_norm_and_a_max_pool_follow() -> None:
    stem, x = by_hand.trained(torch.nn.Sequential(attention_stem())), torch.randn(1, 8, 12)
    normed = by_hand.norm(looped(stem.attention, x)[None], by_hand.weights(stem).at("bn1"))
    with torch.no_grad():
        np.testing.assert_allclose(stem(x[None]), by_hand.taps(normed, 4, 4, 0, 0).max((0, 1)), atol=1e-4)


@pytest.mark.parametrize(("side", "out"), [(32, 8), (64, 16), (67, 16)])
def test_the_stem_reduces_each_side_to_a_quarter(side: int, out: int) -> None:
    stem = torch.nn.Sequential(attention_stem()).eval()
    with torch.no_grad():
        assert stem(torch.rand(2, 1, side, side)).shape == (2, 64, out, out)
