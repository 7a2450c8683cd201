"""Calibration of logits to probabilities; thresholds on these, with their sensitivity and specificity."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from service.artefact.card import OperatingPoint
from training.evaluation.metrics import Flags, Numbers, clopper_pearson, select_known
from training.evaluation.predictions import Predictions

MIN_POSITIVES = 10  # with fewer, neither a slope nor an operating point is fitted
SPECIFICITY = 0.95
SLOPE_SPREAD = 0.5  # standard deviation of the normal prior on the logarithm of a slope, mean 0


@dataclass(frozen=True)
class Calibration:
    """Probability = sigmoid(slope × logit + bias), per branch and label.

    Attributes
    ----------
    slope, bias
        `[3, K] float64`, branches in the order fusion, global, local; every slope is positive, so that calibration
        keeps the ranking of images.
    """

    slope: Numbers
    bias: Numbers

    @classmethod
    def identity(cls, count: int) -> "Calibration":
        """Return the calibration that changes nothing, for this number of labels."""
        return cls(np.ones((3, count)), np.zeros((3, count)))

    def probabilities(self, logits: Numbers) -> Numbers:
        """Map logits `[3, N, K]` to probabilities `[3, N, K] float64 in [0, 1]`."""
        scaled = self.slope[:, None] * logits + self.bias[:, None]
        return np.asarray(expit(scaled, dtype=np.float64))


def calibrate(predictions: Predictions) -> Calibration:
    """Fit every label of every branch on predictions of networks that were not trained on these images.

    A label with fewer than ten positives takes the geometric mean of its branch's other slopes, and only its bias is
    fitted: two parameters would overfit so few cases.
    """
    enough = np.nansum(predictions.targets, 0) >= MIN_POSITIVES
    fitted = [fit_branch(logits, predictions.targets, enough) for logits in predictions.logits]
    return Calibration(np.stack([slope for slope, _ in fitted]), np.stack([bias for _, bias in fitted]))


def fit_branch(logits: Numbers, targets: Numbers, enough: Flags) -> tuple[Numbers, Numbers]:
    """Fit one branch.

    Parameters
    ----------
    logits, targets
        `[N, K]`; targets are NaN where unknown.
    enough
        `[K] bool`, whether a label has enough positives for a slope of its own.

    Returns
    -------
    slope, bias
        `[K] float64` each.
    """
    count = logits.shape[1]
    slope, bias = np.ones(count), np.zeros(count)
    for label in np.flatnonzero(enough).tolist():
        slope[label], bias[label] = platt(*select_known(logits, targets, label))
    shared = float(np.exp(np.log(slope[enough]).mean())) if enough.any() else 1.0
    for label in np.flatnonzero(~enough).tolist():
        slope[label], bias[label] = platt(*select_known(logits, targets, label), shared)
    return slope, bias


def platt(logits: Numbers, positive: Flags, slope: float | None = None) -> tuple[float, float]:
    """Fit slope and bias by minimising a regularised log loss, or the bias alone if a slope is given.

    Targets are moved away from 0 and 1 as in Platt (1999), so that a label without positives has a finite bias; the
    logarithm of the slope has a normal prior with mean 0.

    Parameters
    ----------
    logits, positive
        `[N]` logits and bool.
    """
    count = int(positive.sum())
    target = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))

    def loss(parameters: Numbers) -> float:
        """Return the loss for log slope and bias `[2]`, or for the bias `[1]`."""
        log_slope, bias = (parameters[0], parameters[1]) if slope is None else (np.log(slope), parameters[0])
        scaled = np.exp(log_slope) * logits + bias
        penalty = 0.5 * (log_slope / SLOPE_SPREAD) ** 2
        return float((np.logaddexp(0, scaled) - target * scaled).sum() + penalty)

    start = np.zeros(1 if slope else 2)
    optimum = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-9}).x
    return (float(np.exp(optimum[0])), float(optimum[1])) if slope is None else (slope, float(optimum[0]))


def threshold(negatives: Numbers, scores: Numbers) -> float:
    """Return the lowest threshold with at least 95 % of the negatives below it, half-way to the next higher score.

    Parameters
    ----------
    negatives, scores
        `[n]` scores of the negatives and `[N]` of all images.
    """
    allowed = int(np.floor((1 - SPECIFICITY) * len(negatives) + 1e-9))
    last = float(np.sort(negatives)[::-1][allowed])
    above = scores[scores > last]
    return (last + (float(above.min()) if len(above) else 1.0)) / 2


def rates(scores: Numbers, positive: Flags, cut: float, source: str) -> OperatingPoint:
    """Compute sensitivity and specificity of the threshold `cut` on images with scores `[N]` and truth `[N] bool`."""
    hits, positives = int((scores[positive] >= cut).sum()), int(positive.sum())
    passed, negatives = int((scores[~positive] < cut).sum()), int((~positive).sum())
    return OperatingPoint(
        threshold=cut,
        sensitivity=hits / positives,
        sensitivity_interval=clopper_pearson(hits, positives),
        specificity=passed / negatives,
        specificity_interval=clopper_pearson(passed, negatives),
        positives=positives,
        negatives=negatives,
        source=source,
    )
