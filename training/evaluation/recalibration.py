"""Calibration slope and intercept: how the logit of a probability would have to be changed to fit the truth.

Van Calster et al., Calibration: the Achilles heel of predictive analytics, BMC Medicine 17:230 (2019). The slope b is
that of logit P(positive) = a + b logit(p): below 1 if probabilities are too extreme. The intercept is that of the same
model with slope 1 (calibration in the large): above 0 if probabilities are too low.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from training.evaluation.metrics import Flags, Numbers

SMALLEST = 1e-12  # probabilities of 0 and 1 have no logit; they are moved by this much
LIMIT = 100.0  # largest intercept, far beyond the logits of the smallest probability
ITERATIONS = 30
TOLERANCE = 1e-4  # last step, in logits of standard deviation 1; the error left is about its square


@dataclass(frozen=True)
class Recalibration:
    """Logits and truth of the images of one finding, and the parameters that fit them, from which resamples start.

    Attributes
    ----------
    logits
        `[n]`, of mean 0 and standard deviation 1 after `shift` and division by `scale`.
    positive
        `[n] bool`.
    start
        Intercept and slope on those logits; NaN if they are not finite.
    intercept
        Intercept with slope 1 on the logits as they are; NaN if it is not finite.
    """

    logits: Numbers
    positive: Flags
    shift: float
    scale: float
    start: tuple[float, float]
    intercept: float

    def slopes(self, weights: Numbers) -> Numbers:
        """Fit intercept and slope under weights `[B, n]`, and return the slopes `[B]`; NaN where there is none.

        There is none where positives and negatives are separated by their probabilities, or one of them is missing.
        """
        return fit(self.logits, self.positive, weights, self.start)[1] / self.scale

    def intercepts(self, weights: Numbers) -> Numbers:
        """Fit the intercept with slope 1 under weights `[B, n]`: `[B]`; NaN without a positive or a negative."""
        offsets = self.logits * self.scale + self.shift
        count, positives = weights.sum(1), (weights * self.positive).sum(1)
        values = np.full(len(weights), self.intercept)
        values[(positives == 0) | (positives == count)] = np.nan
        for _ in range(ITERATIONS):
            likely = expit(offsets + values[:, None])
            gradient = positives - (weights * likely).sum(1)
            likely *= 1 - likely
            step = ratio(gradient, (weights * likely).sum(1))
            values = values + step
            if not (np.abs(step) > TOLERANCE).any():
                return values
        values[~(np.abs(step) <= TOLERANCE)] = np.nan
        return values


def recalibration(probabilities: Numbers, positive: Flags) -> Recalibration:
    """Prepare the fits for probabilities `[n] in [0, 1]` and truth `[n] bool`."""
    logits = logit(np.clip(np.asarray(probabilities, np.float64), SMALLEST, 1 - SMALLEST))
    shift, scale = (float(logits.mean()), float(logits.std())) if len(logits) else (0.0, 0.0)
    both = bool(positive.any() and not positive.all())
    intercept = np.nan
    if both:
        share = positive.mean()
        intercept = brentq(lambda value: float(expit(logits + value).mean() - share), -LIMIT, LIMIT)
    if scale == 0:  # every slope fits equal probabilities
        return Recalibration(logits - shift, positive, shift, 1.0, (np.nan, np.nan), intercept)
    logits = (logits - shift) / scale
    start = (float(logit(positive.mean())) if both else np.nan, 0.0)
    bias, slope = fit(logits, positive, np.ones((1, len(logits))), start)
    return Recalibration(logits, positive, shift, scale, (float(bias[0]), float(slope[0])), intercept)


def fit(logits: Numbers, positive: Flags, weights: Numbers, start: tuple[float, float]) -> tuple[Numbers, Numbers]:
    """Fit a logistic regression on the logits by Newton's method, without a penalty.

    Parameters
    ----------
    logits, positive
        `[n]` and `[n] bool`.
    weights
        `[B, n]`.

    Returns
    -------
    bias, slope
        `[B]`; NaN where the method did not converge.
    """
    bias, slope = (np.full(len(weights), value) for value in start)
    step = np.full(len(weights), np.nan)
    for _ in range(ITERATIONS):
        likely = expit(slope[:, None] * logits + bias[:, None])
        rest = weights * (positive - likely)
        first, second = rest.sum(1), (rest * logits).sum(1)
        likely *= 1 - likely
        likely *= weights
        a, b = likely.sum(1), (likely * logits).sum(1)
        c = (likely * logits**2).sum(1)
        determinant = a * c - b * b
        changes = ratio(c * first - b * second, determinant), ratio(a * second - b * first, determinant)
        bias, slope = bias + changes[0], slope + changes[1]
        step = np.maximum(*np.abs(changes))
        if not (step > TOLERANCE).any():  # NaN stays NaN
            break
    slope[~(step <= TOLERANCE)] = np.nan
    return bias, slope


def ratio(above: Numbers, below: Numbers) -> Numbers:
    """Divide element by element; NaN where the divisor is not clearly positive, or the result not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        result: Numbers = np.divide(
            above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) > SMALLEST
        )
    return np.where(np.abs(result) < np.inf, result, np.nan)
