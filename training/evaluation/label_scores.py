"""All scores of one finding on resamples of the patients; picklable, and without torch, for processes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.evaluation.calibration_error import BinnedErrors, binned_errors, calibration_error
from training.evaluation.metrics import CurveScore, Flags, Numbers, Ranking, brier, curve, ranking
from training.evaluation.recalibration import Recalibration, recalibration

PROBABILITY_SCORES = ("brier", "calibration_error", "calibration_slope", "calibration_intercept")


@dataclass(frozen=True)
class LabelScores:
    """Scores, probabilities and truth of the images whose label is known.

    Attributes
    ----------
    scores, positive
        `[n]` and `[n] bool`.
    probabilities
        Suffix of a score's name to `[n] in [0, 1]`.
    patients
        `[n] int64`, number of each image's patient.
    folds
        `[n] int64`, number of the network that gave each score; None if one network gave all of them.
    curve_scores
        Name to score of the curve.
    """

    scores: Numbers
    positive: Flags
    probabilities: Mapping[str, Numbers]
    patients: NDArray[np.int64]
    folds: NDArray[np.int64] | None
    curve_scores: Mapping[str, CurveScore]

    @property
    def names(self) -> list[str]:
        """Names of the scores in the order of the result."""
        likely = [name + suffix for suffix in self.probabilities for name in PROBABILITY_SCORES]
        return [*self.curve_scores, *likely]

    def __call__(self, weights: Numbers) -> Numbers:
        """Compute every score under weights `[B, n]`: `[B, scores]`; `calibration_error` is squared."""
        curves = [curve(ranked, weights) for ranked in self.rankings]
        values = [score(curves) for score in self.curve_scores.values()]
        for ranked, errors, fits in self.calibrations:
            values += [brier(ranked, weights), errors.squared(weights), fits.slopes(weights), fits.intercepts(weights)]
        return np.stack(values, 1)

    @cached_property
    def rankings(self) -> list[Ranking]:
        """Ranking of the images of each fold; its order are indices among all images."""
        if self.folds is None:
            return [ranking(self.scores, self.positive)]
        chosen = [np.flatnonzero(self.folds == fold) for fold in np.unique(self.folds)]
        return [part_ranking(self.scores, self.positive, indices) for indices in chosen] or [
            ranking(self.scores, self.positive)
        ]

    @cached_property
    def calibrations(self) -> list[tuple[Ranking, BinnedErrors, Recalibration]]:
        """For each kind of probability, what its scores need."""
        return [
            (
                ranking(values, self.positive),
                binned_errors(values, self.positive, self.patients),
                recalibration(values, self.positive),
            )
            for values in self.probabilities.values()
        ]

    def biased_errors(self) -> dict[str, float]:
        """Return the squared calibration error with its bias, for each kind of probability.

        It is the true value for the resamples of these images, around which `calibration_error` scatters.
        """
        once = np.ones((1, len(self.scores)))
        return {
            suffix: float(errors.squared(once, debiased=False)[0])
            for suffix, (_, errors, _) in zip(self.probabilities, self.calibrations, strict=True)
        }

    def customary_errors(self) -> dict[str, float]:
        """Return the customary expected calibration error (ECE) for each kind of probability."""
        once = np.ones((1, len(self.scores)))
        return {
            suffix: float(calibration_error(ranked, once)[0])
            for suffix, (ranked, _, _) in zip(self.probabilities, self.calibrations, strict=True)
        }


def part_ranking(scores: Numbers, positive: Flags, indices: NDArray[np.int64]) -> Ranking:
    """Rank the images at indices `[m]` among scores and truth `[n]`; the order refers to all n images."""
    ranked = ranking(scores[indices], positive[indices])
    return Ranking(indices[ranked.order], ranked.scores, ranked.positive, ranked.ends)
