import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from training.evaluation.recalibration import recalibration


def sample(seed: int, count: int = 150) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities that are too extreme and too low, truth, and weights of two resamples."""
    generator = np.random.default_rng(seed)
    probabilities = expit(2.5 * generator.normal(0, 1, count) - 1.5)
    positive = generator.random(count) < expit(logit(probabilities) / 2.5)
    return probabilities, positive, generator.integers(0, 3, (2, count)).astype(float)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_slope_is_that_of_a_logistic_regression_without_penalty(seed: int) -> None:
    probabilities, positive, weights = sample(seed)
    slopes = recalibration(probabilities, positive).slopes(weights)
    for slope, weight in zip(slopes, weights, strict=True):
        model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
        model.fit(logit(probabilities)[:, None], positive, sample_weight=weight)
        assert slope == pytest.approx(model.coef_[0, 0], rel=1e-4)


def test_the_intercept_minimises_the_log_loss_with_slope_1() -> None:
    probabilities, positive, weights = sample(0)
    intercepts = recalibration(probabilities, positive).intercepts(weights)
    logits = logit(probabilities)
    for intercept, weight in zip(intercepts, weights, strict=True):
        loss = lambda a, weight=weight: (weight * (np.logaddexp(0, logits + a) - positive * (logits + a))).sum()  # noqa: E731
        assert intercept == pytest.approx(minimize(loss, 0.0, tol=1e-10).x[0], abs=1e-4)


def test_recalibrated_probabilities_have_slope_1_and_intercept_0() -> None:
    probabilities, positive, _ = sample(1)
    ones = np.ones((1, len(positive)))
    slope = recalibration(probabilities, positive).slopes(ones)[0]
    scaled = expit(slope * logit(probabilities))
    bias = recalibration(scaled, positive).intercepts(ones)[0]
    again = recalibration(expit(logit(scaled) + bias), positive)
    assert again.slopes(ones)[0] == pytest.approx(1)
    assert again.intercepts(ones)[0] == pytest.approx(0, abs=1e-6)
    assert slope < 0.7


@pytest.mark.parametrize(
    ("probabilities", "positive"),
    [
        ([0.1, 0.2, 0.8, 0.9], [False, False, True, True]),  # separated
        ([0.1, 0.2, 0.8], [False, False, False]),
        ([0.3, 0.3, 0.3], [True, False, False]),  # every slope fits
        ([], []),
    ],
)
def test_where_there_is_no_slope_it_is_undefined(probabilities: list[float], positive: list[bool]) -> None:
    fits = recalibration(np.array(probabilities), np.array(positive, bool))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(fits.slopes(np.ones((2, len(positive))))).all()


def test_the_intercept_by_hand_and_of_probabilities_0_and_1() -> None:
    fits = recalibration(np.full(4, 0.5), np.array([True, False, False, False]))
    assert fits.intercepts(np.ones((1, 4)))[0] == pytest.approx(logit(0.25))
    assert np.isnan(fits.intercepts(np.array([[0.0, 1, 1, 1]]))[0])  # no positive is left
    certain = recalibration(np.array([0.0, 1, 0.4, 0.6]), np.array([True, True, False, False]))
    assert np.isfinite(certain.intercepts(np.ones((1, 4)))[0])
