"""Calibration error in fifteen bins of equal mass: the customary ECE, and an estimate without its bias.

The ECE is too high by chance: frequencies in bins scatter about the probabilities of a calibrated network too, so that
a bootstrap, which scatters them once more, gives an interval above the value. The squared error has an unbiased
estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import Flags, Numbers, Ranking, last, quotient, ranking, totals

BINS = 15  # the customary number


def calibration_error(ranked: Ranking, weights: Numbers) -> Numbers:
    """Expected calibration error (ECE): mean distance of probability and frequency in fifteen bins of equal mass.

    Every resample has its own bins; equal probabilities share the bin that contains the middle of their mass.

    Parameters
    ----------
    weights
        `[R, N]`.

    Returns
    -------
    ndarray
        `[R] in [0, 1]`.
    """
    ordered = weights[:, ranked.order]
    sums = totals(ordered, ranked.ends)  # [R, groups]
    excess = np.diff(totals(ordered * (ranked.scores - ranked.positive), ranked.ends), axis=1, prepend=0)
    cells = (bins(sums) + BINS * np.arange(len(weights))[:, None]).ravel()
    gaps = np.bincount(cells, excess.ravel(), BINS * len(weights)).reshape(-1, BINS)
    return quotient(np.abs(gaps).sum(1), last(sums))


def bins(sums: Numbers) -> NDArray[np.int64]:
    """Return the bin of each group of equal scores, from cumulative weights `[R, G]`: `[R, G] int64`."""
    twice = 2 * sums - np.diff(sums, axis=1, prepend=0)  # the middle of each group's mass; halves would round
    return np.minimum((twice * BINS / np.maximum(2 * last(sums), 1)[:, None]).astype(np.int64), BINS - 1)


@dataclass(frozen=True)
class BinnedErrors:
    """Images of one finding in bins that are the same for all resamples.

    Attributes
    ----------
    order
        `[n] int64` index of each image, bin by bin.
    starts
        `[S] int64` first place of each bin that is not empty.
    terms
        `[6, n]` in that order. A cell is a patient's images in one bin. The terms are 1; the difference y − p of truth
        and probability; the cell's sum of y − p; this sum times y − p; the cell's number of images; and 1 divided by
        it. Their sums over a bin are the number of images; the excess of positives; and sums over the cells of size
        times excess, of excess squared, of size squared, and of 1.
    """

    order: NDArray[np.int64]
    starts: NDArray[np.int64]
    terms: Numbers

    def squared(self, weights: Numbers, debiased: bool = True) -> Numbers:
        """Mean squared difference of probability and frequency over the bins.

        In each bin, the variance of that difference is subtracted from its square, so that the mean over many samples
        is the true value, which is 0 for calibrated probabilities (Kumar et al., Verified uncertainty calibration,
        NeurIPS 2019, section 4). It is the variance between patients, since images of one patient are correlated. A
        single result can be below 0.

        Parameters
        ----------
        weights
            `[B, n]`.

        Returns
        -------
        ndarray
            `[B]`; NaN without images.
        """
        ordered = weights[:, self.order]
        if not ordered.shape[1]:
            return np.full(len(weights), np.nan)
        images, excess, both, squares, sizes, patients = (
            np.add.reduceat(ordered * term, self.starts, axis=1) for term in self.terms
        )
        gap = np.nan_to_num(quotient(excess, images))
        error = gap**2
        if debiased:
            spread = squares - 2 * gap * both + gap**2 * sizes
            patients = np.rint(patients)
            variance = quotient(spread * patients, images**2 * (patients - 1))
            error = error - np.where(np.isnan(variance), error, variance)  # a single patient: nothing can be said
        return quotient((images * error).sum(1), images.sum(1))


def binned_errors(probabilities: Numbers, positive: Flags, patients: NDArray[np.int64]) -> BinnedErrors:
    """Put images into bins, from probabilities `[n]`, truth `[n] bool` and number of each one's patient `[n]`."""
    ranked = ranking(probabilities, positive)
    if not len(ranked.order):
        return BinnedErrors(ranked.order, np.zeros(0, np.int64), np.zeros((6, 0)))
    by_group = bins(ranked.ends[None] + 1.0)[0]
    by_place = by_group[np.searchsorted(ranked.ends, np.arange(len(ranked.order)))]
    starts = np.flatnonzero(np.diff(by_place, prepend=-1))
    error = ranked.positive - ranked.scores
    _, cell = np.unique(patients[ranked.order] * BINS + by_place, return_inverse=True)
    size, total = np.bincount(cell)[cell].astype(np.float64), np.bincount(cell, error)[cell]
    return BinnedErrors(
        ranked.order, starts, np.stack([np.ones(len(error)), error, total, total * error, size, 1 / size])
    )
