import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.dicom.window import Span, Window, apply_window, full_span, is_valid, standard_window


def test_window_functions_in_cases_worked_out_by_hand():
    values = np.array([0.0, 1, 2, 3, 4])
    assert apply_window(values, Window(2, 3, "LINEAR")).tolist() == [0, 0.25, 0.75, 1, 1]  # (x - 1.5) / 2 + 0.5
    assert apply_window(values, Window(2, 1, "LINEAR")).tolist() == [0, 0, 1, 1, 1]
    assert apply_window(values, Window(2, 4, "LINEAR_EXACT")).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert apply_window(values, Window(2, 4, "SIGMOID"))[2] == 0.5
    assert apply_window(values, Window(2, 4, "SIGMOID"))[3] == pytest.approx(1 / (1 + np.exp(-1)))


widths = st.floats(1, 1e5) | st.just(1.0)
centres = st.floats(-1e5, 1e5)
functions = st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])


@given(centres, widths, functions)
def test_windows_rise_from_0_to_1(centre, width, function):
    values = np.linspace(centre - 20 * width, centre + 20 * width, 400)
    values = apply_window(values, Window(centre, width, function))
    assert values.min() >= 0
    assert values.max() <= 1
    assert values[0] < 1e-6
    assert values[-1] > 1 - 1e-6
    assert (np.diff(values) >= 0).all()


def test_a_span_rises_from_its_low_to_its_high_end():
    assert apply_window(np.array([0.0, 1, 2, 3, 4]), Span(1, 3)).tolist() == [0, 0, 0.5, 1, 1]
    assert apply_window(np.array([0.0, 1, 2]), Span(1, 1)).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("width", "function", "valid"),
    [
        (1, "LINEAR", True),
        (0.99, "LINEAR", False),
        (0.99, "CUBIC", False),
        (-5, "LINEAR", False),
        (1e-9, "LINEAR_EXACT", True),
        (1e-9, "SIGMOID", True),
        (0, "LINEAR_EXACT", False),
        (0, "SIGMOID", False),
    ],
)
def test_the_width_that_a_function_allows(width, function, valid):
    assert is_valid(Window(0, width, function)) == valid


def test_the_full_span_is_that_of_visible_values():
    values = np.array([0.0, 1, 2, 3])
    assert full_span(values, np.array([False, True, True, False])) == Span(1, 2)
    assert full_span(values, np.zeros(4, np.bool_)) == Span(0, 0)


@pytest.mark.parametrize("window", [Span(-3, 7), Span(0.25, 0.5), Window(2, 3, "CUBIC"), Window(2, 3, "SIGMOID")])
def test_the_standard_window_shows_the_same(window):
    values = np.linspace(-10, 10, 401)
    standard = standard_window(window)
    assert standard.function in ("LINEAR", "SIGMOID")
    assert is_valid(standard)
    assert apply_window(values, standard) == pytest.approx(apply_window(values, window), abs=1e-12)


def test_the_standard_window_of_a_flat_image_shows_it_black():
    standard = standard_window(Span(2, 2))
    assert is_valid(standard)
    assert apply_window(np.array([2.0]), standard).tolist() == [0]
