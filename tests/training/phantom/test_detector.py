import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from training.phantom.detector import Exposure, _counts, blur, intensity, photograph


@given(st.floats(0, 3), st.floats(0, 3))
def test_layers_multiply(a, b):
    """Beer-Lambert: the transmission of two layers is the product of theirs."""
    first, second = np.float32([[a]]), np.float32([[b]])
    np.testing.assert_allclose(intensity(first + second), intensity(first) * intensity(second), rtol=1e-5)


def test_half_value_layer():
    assert intensity(np.float32([[np.log(2)]])).item() == pytest.approx(0.5)


def test_noise_is_that_of_counted_photons():
    exposure = Exposure(photons=10000.0, scatter=0.0, electronic=0.0)
    counts = _counts(np.full((300, 300), 0.25, np.float32), 1.0, exposure, np.random.default_rng(0))
    assert counts.mean() == pytest.approx(2500, rel=0.002)
    assert counts.std() == pytest.approx(50, rel=0.02)


def test_scatter_adds_its_share():
    exposure = Exposure(photons=1e8, scatter=0.5)
    counts = _counts(np.full((64, 64), 0.2, np.float32), 1.0, exposure, np.random.default_rng(0))
    assert counts.mean() == pytest.approx(0.3e8, rel=1e-3)


def test_more_in_the_beam_is_whiter():
    steps = np.repeat(np.linspace(0.8, 4, 160, dtype=np.float32), 160).reshape(160, 160).T.copy()
    values = photograph(steps, 2.0, Exposure(photons=1e9, heel=0.0, scatter=0.0), np.random.default_rng(0))
    assert (np.diff(values.mean(0)[20:140]) > 0).all()
    assert values.min() >= 0
    assert values.max() <= 1


def test_shutters_are_black():
    exposure = Exposure(shutters=(0.1, 0.2, 0.05, 0.1))
    values = photograph(np.full((100, 100), 2.0, np.float32), 4.0, exposure, np.random.default_rng(0))
    assert values[:20].max() == values[90:].max() == values[:, :10].max() == values[:, 95:].max() == 0
    assert values[50, 50] > 0


def test_wide_blur_on_a_coarse_grid_is_nearly_the_same():
    plane = np.random.default_rng(0).random((240, 240), dtype=np.float32)
    fine = ndimage.gaussian_filter(plane, 20, mode="nearest")
    np.testing.assert_allclose(blur(plane, 20)[60:-60, 60:-60], fine[60:-60, 60:-60], atol=1e-3)
