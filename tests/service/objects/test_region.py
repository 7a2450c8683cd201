import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from service.objects.region import region
from service.objects.resampling import WHOLE, upsampled

SIZE = (96, 80)


def labelled(heat: np.ndarray, size: tuple[int, int]) -> list[np.ndarray]:
    """The 8-connected parts of the upsampled map at or above 0.7, by another program."""
    labels, count = ndimage.label(upsampled(heat, size, WHOLE) >= 0.7, np.ones((3, 3)))
    return [labels == number for number in range(1, count + 1)]


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask.any(1))[0], np.nonzero(mask.any(0))[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(7, 7), (4, 9), (14, 14)]))
def test_the_box_of_each_component_gives_that_component(seed: int, shape: tuple[int, int]) -> None:
    heat = np.random.default_rng(seed).random(shape, np.float32)
    parts = labelled(heat, SIZE)
    boxes = [box_of(part) for part in parts]

    for part, box in zip(parts, boxes, strict=True):
        if boxes.count(box) == 1:  # two crossing diagonals may share a box
            np.testing.assert_array_equal(region(heat, SIZE, WHOLE, box), part)


def test_parts_that_touch_at_a_corner_are_one() -> None:
    heat = np.zeros((2, 2), np.float32)
    heat[0, 0] = heat[1, 1] = 1.0

    assert region(heat, (2, 2), WHOLE, (0, 0, 2, 2)).tolist() == [[True, False], [False, True]]


def test_a_flat_map_has_no_region() -> None:
    assert not region(np.zeros((7, 7), np.float32), SIZE, WHOLE, (0, 0, *SIZE)).any()


def test_a_map_at_its_maximum_everywhere_is_all_region() -> None:
    assert region(np.ones((7, 7), np.float32), SIZE, WHOLE, (0, 0, *SIZE)).all()


def test_the_edge_of_the_radiograph_may_cut_a_component_in_two() -> None:
    """A U, whose base lies on the padding below the radiograph."""
    heat = np.zeros((8, 5), np.float32)
    heat[1:7, 1] = heat[1:7, 3] = heat[6, 1:4] = 1.0
    content = (0.0, 0.0, 1.0, 0.625)  # five of eight rows

    mask = region(heat, (50, 50), content, (8, 8, 42, 50))

    assert ndimage.label(mask)[1] == 2
    assert mask[40, [15, 25, 35]].tolist() == [True, False, True]


@pytest.mark.parametrize("content", [(0.1, 0.0, 0.9, 1.0), (0.0, 0.23, 1.0, 0.77)])
def test_the_pixels_of_a_part_of_the_map_are_those_that_it_covers(content: tuple[float, float, float, float]) -> None:
    heat = np.zeros((7, 7), np.float32)
    heat[2:5, 3] = 1.0

    mask = region(heat, SIZE, content, box_of(upsampled(heat, SIZE, content) >= 0.7))

    shown = upsampled(heat, SIZE, content)
    assert mask[shown >= 0.7 + 1e-3].all()
    assert not mask[shown < 0.7 - 1e-3].any()
