import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.dicom.levels import levels_of
from service.dicom.shutter import Shutter
from tests.factories import chest

Stored = np.ndarray
images = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16]).flatmap(
    lambda kind: arrays.arrays(kind, (3, 5), elements=st.integers(*map(int, (np.iinfo(kind).min, np.iinfo(kind).max))))
)


@given(images)
def test_levels_are_those_of_the_pixels(stored: Stored) -> None:
    levels = levels_of(stored, chest(stored), None)

    assert set(levels.values[levels.occurs].tolist()) == set(stored.ravel().tolist())
    assert np.array_equal(levels.spread(levels.values), stored)
    for monotone in (True, False):
        visible = levels.values[levels.visible(monotone)]
        assert (visible.min(), visible.max()) == (stored.min(), stored.max())


def test_an_image_of_several_blocks_is_spread_whole() -> None:
    stored = np.random.default_rng(0).integers(-(2**15), 2**15, (300, 700)).astype(np.int16)
    levels = levels_of(stored, chest(stored), None)
    assert np.array_equal(levels.spread(levels.values), stored)
    assert np.array_equal(levels.occurs, np.isin(levels.values, stored))


@pytest.mark.parametrize("monotone", [True, False])
def test_padding_and_what_a_shutter_covers_are_not_visible(monotone: bool) -> None:
    stored = np.array([[1, 4, 9], [0, 6, 0]], np.uint16)
    cover = Shutter(stored == 9, ("RECTANGULAR",), {})
    padded = levels_of(stored, chest(stored, PixelPaddingValue=0), None)
    covered = levels_of(stored, chest(stored), cover)
    assert padded.values[padded.visible(monotone)].tolist() == [1, 4, 6, 9]
    assert covered.values[covered.visible(monotone)].tolist() == [0, 1, 4, 6]
