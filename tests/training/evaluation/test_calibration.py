import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from tests.training.cases import cases, predicted
from training.evaluation.calibration import Calibration, calibrate, platt, rates, threshold
from training.evaluation.predictions import Predictions


def predictions(logits: np.ndarray, targets: np.ndarray) -> Predictions:
    return predicted(logits, cases(targets))


def drawn(slope: float, bias: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logits = generator.normal(-1, 1.5, count)
    return logits, generator.random(count) < expit(slope * logits + bias)


@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.4, -1.0), (2.0, 0.5)])
def test_platt_recovers_the_parameters_of_the_data(slope: float, bias: float) -> None:
    assert platt(*drawn(slope, bias)) == pytest.approx((slope, bias), abs=0.06)


def test_platt_agrees_with_logistic_regression_on_many_images() -> None:
    logits, positive = drawn(0.7, -0.3)
    oracle = LogisticRegression(C=1e9).fit(logits[:, None], positive)
    assert platt(logits, positive) == pytest.approx((oracle.coef_[0, 0], oracle.intercept_[0]), abs=5e-3)


def test_a_slope_is_never_negative_and_a_bias_always_finite() -> None:
    logits = np.linspace(-2, 2, 40)
    backward, _ = platt(logits, logits < 0)
    assert 0 < backward < 0.5
    _, bias = platt(logits, np.zeros(40, bool))
    assert -10 < bias < -2


def test_few_positives_take_the_slope_of_the_other_labels() -> None:
    logits, positive = drawn(0.5, -1.0, 2000)
    targets = np.stack([positive, positive, np.arange(2000) < 5], 1)
    fitted = calibrate(predictions(np.stack([np.stack([logits, 1.5 * logits, logits], 1)] * 3), targets))
    assert fitted.slope.shape == fitted.bias.shape == (3, 3)
    np.testing.assert_allclose(fitted.slope[:, 2], np.sqrt(fitted.slope[:, 0] * fitted.slope[:, 1]))
    mean = fitted.probabilities(np.stack([np.stack([logits] * 3, 1)] * 3))[0, :, 2].mean()
    assert mean == pytest.approx(6 / 2002, rel=0.3)  # its prevalence, drawn in as Platt does


def test_without_any_positives_the_slope_stays_one() -> None:
    fitted = calibrate(predictions(np.zeros((3, 30, 2)), np.zeros((30, 2))))
    np.testing.assert_array_equal(fitted.slope, 1)


def test_probabilities_by_hand() -> None:
    calibration = Calibration(np.array([[2.0], [1.0], [1.0]]), np.array([[1.0], [0.0], [-1.0]]))
    probabilities = calibration.probabilities(np.full((3, 1, 1), 0.5))
    np.testing.assert_allclose(probabilities[:, 0, 0], expit([2.0, 0.5, -0.5]))


def test_threshold_by_hand() -> None:
    negatives = np.arange(40) / 100  # two of forty may be at or above
    scores = np.append(negatives, 0.9)
    assert threshold(negatives, scores) == pytest.approx((0.37 + 0.38) / 2)
    assert threshold(np.array([0.2, 0.3]), np.array([0.2, 0.3])) == pytest.approx(0.65)  # above all there is


@settings(deadline=None)
@given(st.lists(st.integers(0, 19), min_size=1, max_size=80), st.lists(st.integers(0, 19), min_size=1, max_size=20))
def test_the_threshold_is_the_lowest_with_the_specificity(negative: list[int], positive: list[int]) -> None:
    negatives, scores = np.array(negative) / 20, np.array(negative + positive) / 20
    cut = threshold(negatives, scores)
    assert (negatives < cut).mean() >= 0.95
    lower = scores[scores < cut].max()
    assert (negatives < lower).mean() < 0.95


def test_rates_by_hand() -> None:
    point = rates(np.array([0.1, 0.5, 0.5, 0.9]), np.array([False, True, False, True]), 0.5, "here")
    assert (point.sensitivity, point.specificity, point.positives, point.negatives) == (1.0, 0.5, 2, 2)  # at counts
    assert point.source == "here"
    assert point.specificity_interval == pytest.approx((0.0126, 0.9874), abs=1e-4)
