"""Intervals by a cluster bootstrap: patients are resampled with all their images, which are correlated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import CONFIDENCE, Interval, Numbers

RESAMPLES = 1000
ELEMENTS = 2**16  # elements of one block of weights: half a megabyte, which fits the cache of a processor


@dataclass(frozen=True)
class Resamples:
    """Patients drawn with replacement.

    The first resample contains every image once, so that one array holds the value and the samples of its interval.
    Scores computed on equal resamples can be subtracted: the difference is then paired.

    Attributes
    ----------
    counts
        `[1 + R, patients] uint8`, how often each patient was drawn.
    owner
        `[N] int64`, column of each image's patient in `counts`.
    """

    counts: NDArray[np.uint8]
    owner: NDArray[np.int64]

    def weights(self) -> Iterator[Numbers]:
        """Yield, in blocks `[B, N] float64`, how often each image was drawn with its patient."""
        size = max(1, ELEMENTS // max(1, len(self.owner)))
        for start in range(0, len(self.counts), size):
            yield self.counts[start : start + size][:, self.owner].astype(np.float64)

    def evaluate(self, measure: Callable[[Numbers], Numbers]) -> Numbers:
        """Evaluate a measure, from weights `[B, N]` to `[B, ...]`, on every resample: `[1 + R, ...]`."""
        return np.concatenate([measure(weights) for weights in self.weights()])


def resamples(patients: Sequence[str], count: int = RESAMPLES, seed: int = 0) -> Resamples:
    """Draw as many patients as there are, `count` times; the draws depend only on patients and seed."""
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    first = np.ones((1, len(names)), np.uint8)
    if not len(names):
        return Resamples(np.repeat(first, 1 + count, 0), owner)
    generator, share = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    draws = [generator.multinomial(len(names), share)[None].astype(np.uint8) for _ in range(count)]
    return Resamples(np.concatenate([first, *draws]), owner)


def interval(samples: Numbers) -> Interval:
    """Return the central 95 % of the samples `[1 + R]` without the first, which is the value, and without NaN.

    Both bounds are NaN where no sample is left.
    """
    values = samples[1:][~np.isnan(samples[1:])]
    if not len(values):
        return (np.nan, np.nan)
    low, high = np.percentile(values, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def entry(samples: Numbers) -> dict[str, float | list[float] | None]:
    """Return `value` and `interval` of samples `[1 + R]`, None where undefined: JSON has no NaN."""
    value, bounds = float(samples[0]), interval(samples)
    if np.isnan(value):
        return {"value": None, "interval": None}
    return {"value": value, "interval": None if np.isnan(bounds).any() else list(bounds)}
