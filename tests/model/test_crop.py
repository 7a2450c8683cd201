import pytest
import torch
from torch import Tensor
from torch.nn import functional

from model.crop import crop

WHOLE = torch.tensor([[0.0, 0.0, 1.0, 1.0]])


def ramp(side: int) -> Tensor:
    """Value = x of the pixel's centre, in [0, 1] of the canvas: [1, 1, S, S]."""
    return ((torch.arange(side) + 0.5) / side).expand(1, 1, side, side)


@pytest.mark.parametrize("ratio", [2, 4, 8, 16])
def test_the_whole_canvas_is_averaged_over_areas(ratio: int) -> None:
    canvas = torch.rand(2, 1, 16 * ratio, 16 * ratio)
    whole = crop(canvas, WHOLE.expand(2, 4), 16)
    assert torch.allclose(whole, functional.avg_pool2d(canvas, ratio), atol=1e-5)


def test_half_of_the_canvas_is_its_own_area_average() -> None:
    canvas = torch.rand(1, 1, 32, 32)
    half = crop(canvas, torch.tensor([[0.5, 0.25, 1.0, 0.75]]), 8)
    assert torch.allclose(half, functional.avg_pool2d(canvas[:, :, 8:24, 16:32], 2), atol=1e-5)


def test_a_linear_ramp_stays_linear() -> None:
    x0, x1, size = 0.1234, 0.8111, 24
    rows = crop(ramp(96), torch.tensor([[x0, 0.3, x1, 0.4]]), size)
    expected = x0 + (x1 - x0) * (torch.arange(size) + 0.5) / size
    assert torch.allclose(rows, expected.expand(1, 1, size, size), atol=1e-5)
    columns = crop(ramp(96).transpose(2, 3), torch.tensor([[0.3, x0, 0.4, x1]]), size)
    assert torch.allclose(columns, expected[:, None].expand(1, 1, size, size), atol=1e-5)


def test_a_small_box_is_interpolated() -> None:
    x0, x1, size = 0.5, 0.53, 16  # three pixels of 96
    expected = x0 + (x1 - x0) * (torch.arange(size) + 0.5) / size
    got = crop(ramp(96), torch.tensor([[x0, 0.5, x1, 0.53]]), size)
    assert torch.allclose(got, expected.expand(1, 1, size, size), atol=1e-5)


def test_detail_finer_than_the_result_is_averaged_out() -> None:
    stripes = (torch.arange(128) % 2).float().expand(1, 1, 128, 128)
    assert (crop(stripes, WHOLE, 32) - 0.5).abs().max() < 1e-5
    inside = crop(stripes, torch.tensor([[0.21, 0.21, 0.68, 0.68]]), 16)  # 3.8 pixels to one
    assert (inside - 0.5).abs().max() < 0.1
    coarser = (torch.arange(128) // 4 % 2).float().expand(1, 1, 128, 128)
    large = crop(coarser, torch.tensor([[0.03, 0.03, 0.97, 0.97]]), 16)  # 7.5 pixels to one, sampled 1.9 apart
    assert (large - 0.5).abs().max() < 0.2


def test_a_crop_at_its_own_resolution_is_smoothed_slightly() -> None:
    canvas = torch.zeros(1, 1, 8, 8)
    canvas[0, 0, 4, 4] = 1
    weights = torch.tensor([1 / 8, 3 / 4, 1 / 8])
    assert torch.allclose(crop(canvas, WHOLE, 8)[0, 0, 3:6, 3:6], weights[:, None] * weights, atol=1e-6)


def test_at_the_edge_the_outermost_pixel_is_repeated() -> None:
    assert torch.equal(crop(torch.ones(1, 1, 32, 32), WHOLE, 32), torch.ones(1, 1, 32, 32))


def test_every_image_has_its_own_box() -> None:
    canvas = torch.rand(2, 1, 64, 64)
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    both = crop(canvas, boxes, 16)
    assert torch.allclose(both[0], functional.avg_pool2d(canvas[0, :, :32, :32], 2), atol=1e-5)
    assert torch.allclose(both[1], functional.avg_pool2d(canvas[1, :, 32:, 32:], 2), atol=1e-5)
    assert torch.equal(both[1:], crop(canvas[1:], boxes[1:], 16))
