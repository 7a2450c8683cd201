"""The oracle is the method of the paper: 224 × 224 pixels, threshold, scipy's labels, bounding box of the largest."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from model.region import _area, region

WHOLE = [0.0, 0.0, 1.0, 1.0]
MAPS = 1700  # of each kind: over 10,000 together


def reference(heat: Tensor, tau: float = 0.7) -> np.ndarray:
    """[B, h, w] to boxes [B, 4]."""
    upsampled = functional.interpolate(heat[:, None], (224, 224), mode="bilinear", align_corners=False)[:, 0]
    return np.array([bounding_box(mask) for mask in (upsampled > tau).numpy()]) / 224


def bounding_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    largest = np.bincount(labels[mask]).argmax()
    rows, columns = ndimage.find_objects(labels)[largest - 1]
    return columns.start, rows.start, columns.stop, rows.stop


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intersection over union, row by row."""
    sides = np.minimum(one[:, 2:], other[:, 2:]) - np.maximum(one[:, :2], other[:, :2])
    both = sides.clip(0).prod(1)
    return both / ((one[:, 2:] - one[:, :2]).prod(1) + (other[:, 2:] - other[:, :2]).prod(1) - both)


def spots(*places: tuple[int, int], side: int = 7, value: float = 1.0) -> Tensor:
    heat = torch.zeros(1, side, side)
    for row, column in places:
        heat[0, row, column] = value
    return heat


@pytest.mark.parametrize(
    ("side", "sigma", "expected"),
    [
        (7, 0, 0.97),
        (13, 0, 0.96),
        (14, 0, 0.96),
        (7, 1, 0.985),
        (13, 1, 0.985),
        (14, 1, 0.985),
        (2, 0, 0.99),
        (3, 0, 0.99),
    ],
)
def test_boxes_are_those_of_the_paper(heat_maps, side: int, sigma: float, expected: float) -> None:
    heat = heat_maps(MAPS, side, sigma)
    boxes = torch.cat([region(part) for part in heat.split(100)]).numpy()
    assert overlap(boxes, reference(heat)).mean() >= expected


def test_pixel_counts_are_those_of_the_upsampled_map(heat_maps) -> None:
    heat = heat_maps(100, 13, 1)
    upsampled = functional.interpolate(heat[:, None], (224, 224), mode="bilinear", align_corners=False)[:, 0]
    assert (_area(heat - 0.7).sum(1) - (upsampled > 0.7).sum((1, 2))).abs().max() <= 1  # a pixel right on τ


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_mixed_precision_counts_the_same_pixels(heat_maps, precision: torch.dtype) -> None:
    heat = heat_maps(20, 3, 0)  # of some thousand pixels each: a product in bfloat16 tells 1 in 256
    with torch.autocast("cpu", precision):
        area, boxes = _area(heat - 0.2), region(heat, 0.2)
    assert area.dtype == torch.float32
    assert torch.equal(area, _area(heat - 0.2))
    assert torch.equal(boxes, region(heat, 0.2))


# By hand


def test_a_peak_reaches_to_where_the_map_crosses_the_threshold() -> None:
    # From 1 to 0 over one cell: 0.7 is crossed 0.3 cells away from the centre of the cell.
    expected = torch.tensor([[3.5 - 0.3, 2.5 - 0.3, 3.5 + 0.3, 2.5 + 0.3]]) / 7
    assert torch.allclose(region(spots((2, 3))), expected)


def test_at_the_border_it_reaches_half_a_cell_further() -> None:
    assert torch.allclose(region(spots((0, 0))), torch.tensor([[0, 0, 0.8, 0.8]]) / 7)
    assert torch.allclose(region(spots((6, 6))), torch.tensor([[6.2, 6.2, 7, 7]]) / 7)


def test_the_threshold_moves_the_edges() -> None:
    assert torch.allclose(region(spots((3, 3)), tau=0.4), torch.tensor([[2.9, 2.9, 4.1, 4.1]]) / 7)


def test_the_larger_component_wins() -> None:
    heat = spots((1, 1), (4, 4), (4, 5))
    assert torch.allclose(region(heat), torch.tensor([[4.2, 4.2, 5.8, 4.8]]) / 7)


def test_the_first_of_equals_wins() -> None:
    assert torch.allclose(region(spots((1, 5), (5, 1))), torch.tensor([[5.2, 1.2, 5.8, 1.8]]) / 7)


@pytest.mark.parametrize(("others", "joined"), [(0.39, False), (0.41, True)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_diagonal_nodes_are_joined_over_a_high_saddle_only(others: float, joined: bool, mirrored: bool) -> None:
    # a = d = 1, b = c: the saddle (1 - b²) / (2 - 2b) is (1 + b) / 2, above 0.7 for b > 0.4
    heat = torch.zeros(1, 6, 6)
    heat[0, 2:4, 2:4] = torch.tensor([[1.0, others], [others, 1.0]])
    heat = heat.flip(2) if mirrored else heat
    width = (region(heat)[0, 2] - region(heat)[0, 0]) * 6
    assert (width > 1.5) == joined


def test_a_ring_is_one_component() -> None:
    heat = torch.ones(1, 7, 7)
    heat[0, 2:5, 2:5] = 0
    assert region(heat).tolist() == [WHOLE]


def test_a_snake_is_followed_to_its_end() -> None:
    heat = torch.zeros(1, 14, 14)
    heat[0, ::2] = 1
    heat[0, 1:12:4, -1] = heat[0, 3:12:4, 0] = 1  # 104 nodes in a row, up and down through every second line
    assert torch.allclose(region(heat), torch.tensor([[0, 0, 1, 12.8 / 14]]))
    heat[0, 5, -1] = 0  # cut after three of its seven lines: the other four are left
    assert torch.allclose(region(heat), torch.tensor([[0, 6.2 / 14, 1, 12.8 / 14]]))


@pytest.mark.parametrize("value", [0.0, 0.5, 0.7])
def test_nothing_above_the_threshold_is_the_whole_canvas(value: float) -> None:
    assert region(torch.full((2, 7, 7), value)).tolist() == [WHOLE, WHOLE]


def test_everything_above_the_threshold_is_the_whole_canvas_too() -> None:
    assert region(torch.ones(1, 7, 7)).tolist() == [WHOLE]


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2), (3, 9)])
def test_maps_of_any_shape_are_supported(shape: tuple[int, int]) -> None:
    assert region(torch.ones(1, *shape)).tolist() == [WHOLE]
    assert region(torch.zeros(1, *shape)).tolist() == [WHOLE]


def test_a_peak_between_the_centres_of_pixels_still_counts() -> None:
    heat = spots((3, 3), value=0.7001)
    x0, y0, x1, y1 = region(heat)[0].tolist()
    assert 0.49 < x0 < x1 < 0.51
    assert 0.49 < y0 < y1 < 0.51


# Properties


def test_images_of_a_batch_are_independent(heat_maps) -> None:
    heat = torch.cat([heat_maps(6, 13, 0), torch.zeros(1, 13, 13), heat_maps(6, 13, 1)])
    assert torch.equal(region(heat), torch.cat([region(one[None]) for one in heat]))


def test_the_box_of_a_transposed_map_is_transposed(heat_maps) -> None:
    heat = heat_maps(50, 9, 1)
    boxes = region(heat)
    assert torch.equal(region(heat.transpose(1, 2)), boxes[:, [1, 0, 3, 2]])
    mirrored = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
    assert torch.allclose(region(heat.flip(2)), mirrored, atol=1e-6)


@settings(deadline=None)
@given(arrays.arrays(np.float32, (5, 6), elements=st.floats(0, 1, width=32)))
def test_a_box_lies_in_the_canvas_and_is_never_empty(values: np.ndarray) -> None:
    x0, y0, x1, y1 = region(torch.from_numpy(values)[None])[0].tolist()
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1
