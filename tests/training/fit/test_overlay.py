import io

import numpy as np
import pytest
from PIL import Image

from service.objects.overlay import Options, overlay_png
from training.fit.overlay import OPACITY, colour_table, overlay

WHOLE = np.array([0, 0, 1, 1], np.float32)


def flatten(value: float, size: int = 64) -> np.ndarray:
    return np.full((1, size, size), value, np.float32)


def test_a_map_of_zero_changes_only_the_box() -> None:
    canvas = np.random.default_rng(0).random((1, 64, 64), dtype=np.float32)
    picture = overlay(canvas, np.zeros((7, 7), np.float32), np.array([0.25, 0.5, 0.75, 1], np.float32))
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    grey = np.rint(canvas[0] * 255)
    edge = np.zeros((64, 64), bool)
    edge[32:64, 16:48] = True
    edge[35:61, 19:45] = False  # a dark, a white and a dark line
    for channel in range(3):
        np.testing.assert_array_equal(picture[..., channel][~edge], grey[~edge])


def test_the_box_is_where_it_should_be() -> None:
    picture = overlay(flatten(0.5), np.zeros((4, 4), np.float32), np.array([0.25, 0.125, 0.75, 0.5], np.float32))
    row = picture[20, :, 0].tolist()  # columns 16 to 47
    assert row[15:20] == [128, 0, 255, 0, 128]
    assert row[44:49] == [128, 0, 255, 0, 128]
    column = picture[:, 32, 0].tolist()  # rows 8 to 31
    assert column[7:12] == [128, 0, 255, 0, 128]
    assert column[28:33] == [128, 0, 255, 0, 128]


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.5, 0.5), (1, 1, 1, 1), (0, 0, 0.01, 0.01)])
def test_a_box_of_no_size_is_still_drawn(box: tuple[float, ...]) -> None:
    picture = overlay(flatten(1), np.zeros((4, 4), np.float32), np.array(box, np.float32))
    assert (picture == 0).all(-1).sum() == 1


def test_a_map_of_one_is_its_highest_colour_at_full_opacity() -> None:
    picture = overlay(flatten(1), np.ones((3, 3), np.float32), WHOLE)
    yellow = np.array([253, 231, 37])  # viridis's last
    np.testing.assert_array_equal(picture[32, 32], np.rint((1 - OPACITY) * 255 + OPACITY * yellow))


def test_the_map_is_enlarged_bilinearly() -> None:
    picture = overlay(flatten(0), np.array([[0, 1], [0, 1]], np.float32), WHOLE).astype(float)
    middle = picture[32, 16:48].sum(-1)  # between the centres of the two columns
    assert (np.diff(middle) >= 0).all()
    assert len(np.unique(middle)) > 16
    np.testing.assert_array_equal(picture[32, 4:12], np.zeros((8, 3)))


def test_it_has_the_colours_of_the_services_overlay() -> None:
    """At full opacity and the maximum of the map, the service draws the colour itself."""
    view = np.zeros((200, 200), np.uint8)
    png = overlay_png(view, np.ones((3, 3), np.float32), None, Options(alpha=1))
    served = np.asarray(Image.open(io.BytesIO(png)))[50, 50]
    np.testing.assert_allclose(colour_table()[255], served, atol=1)
