from dataclasses import replace

import numpy as np
import pytest

from training.phantom.film import phantom
from training.phantom.source import PhantomSource
from training.sample import Sample

SOURCE = PhantomSource(count=6, seed=5, size=96)


def test_a_sample_is_the_phantom():
    sample, picture = SOURCE[3], phantom(5, 3, 96)
    assert isinstance(sample, Sample)
    assert sample.canvas.shape == (1, 96, 96)
    np.testing.assert_array_equal(sample.canvas[0], picture.values)
    np.testing.assert_array_equal(sample.case.findings, picture.target)
    assert sample.case.boxes == picture.boxes


def test_entries_say_what_samples_are():
    assert len(SOURCE) == len(SOURCE.cases) == 6
    for index in (0, 2):
        assert replace(SOURCE[index].case, boxes={}) == SOURCE.cases[index]


def test_names_are_unique_and_patients_are_not():
    assert len({entry.image for entry in SOURCE.cases}) == 6
    assert len({entry.patient for entry in SOURCE.cases}) == 5


@pytest.mark.parametrize("index", [-1, 6])
def test_out_of_range(index):
    with pytest.raises(IndexError):
        SOURCE[index]


def test_another_seed_is_another_key_and_other_patients():
    other = PhantomSource(count=6, seed=6, size=96)
    assert other.key != SOURCE.key
    assert not {entry.patient for entry in other.cases} & {entry.patient for entry in SOURCE.cases}
