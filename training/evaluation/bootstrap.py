"""Intervals by resampling patients, since one patient's images are alike (a cluster bootstrap)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics import CONFIDENCE, Interval, Numbers

RESAMPLES = 1000
ELEMENTS = 2**16  # of the weights in hand at a time: half a megabyte, which stays in the cache of a processor


@dataclass(frozen=True)
class Resamples:
    """Patients drawn with replacement.

    The first resample is the images as they are, so that a value and what its interval is made of are one array.
    Whatever is computed on equal resamples can be subtracted: the difference is then paired.

    Attributes
    ----------
    counts
        [1 + R, patients] uint8, how often each patient was drawn.
    owner
        [N], whose each image is, as a place in `counts`.
    """

    counts: NDArray[np.uint8]
    owner: NDArray[np.int64]

    def weights(self) -> Iterator[Numbers]:
        """In blocks [B, N] float64, how often each image comes with its patient."""
        size = max(1, ELEMENTS // max(1, len(self.owner)))
        for start in range(0, len(self.counts), size):
            yield self.counts[start : start + size][:, self.owner].astype(np.float64)

    def drawn(self, measure: Callable[[Numbers], Numbers]) -> Numbers:
        """A measure, from weights [B, N] to [B, ...], on every resample: [1 + R, ...]."""
        return np.concatenate([measure(weights) for weights in self.weights()])


def resamples(patients: Sequence[str], count: int = RESAMPLES, seed: int = 0) -> Resamples:
    """Draw as many patients as there are, `count` times; equal patients and seed, equal draws."""
    names, owner = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    first = np.ones((1, len(names)), np.uint8)
    if not len(names):
        return Resamples(np.repeat(first, 1 + count, 0), owner)
    generator, share = np.random.default_rng(seed), np.full(len(names), 1 / len(names))
    draws = [generator.multinomial(len(names), share)[None].astype(np.uint8) for _ in range(count)]
    return Resamples(np.concatenate([first, *draws]), owner)


def interval(drawn: Numbers) -> Interval:
    """The middle 95 % of what is defined among the draws [1 + R], the first of which is the value; NaN of nothing."""
    values = drawn[1:][~np.isnan(drawn[1:])]
    if not len(values):
        return (np.nan, np.nan)
    low, high = np.percentile(values, [50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)])
    return float(low), float(high)


def entry(drawn: Numbers) -> dict[str, float | list[float] | None]:
    """`value` and `interval` from draws [1 + R], null where undefined: JSON has no NaN."""
    value, bounds = float(drawn[0]), interval(drawn)
    if np.isnan(value):
        return {"value": None, "interval": None}
    return {"value": value, "interval": None if np.isnan(bounds).any() else list(bounds)}
