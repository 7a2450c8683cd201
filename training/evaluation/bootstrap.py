"""Intervals by a cluster bootstrap: patients are resampled with all their images, which are correlated."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from training.data.processors import processors
from training.evaluation.metrics import CONFIDENCE, Flags, Interval, Numbers
from training.progress import progress_bar

RESAMPLES = 1000
ELEMENTS = 2**16  # elements of one block of weights: half a megabyte, which fits the cache of a processor
CHUNK = 100  # resamples of one task of a process; fixed, so that sums are the same for any number of processes
CACHED = 11  # blocks of draws that are kept, those of a thousand resamples: 100 bytes a patient each
SMALL = 3 * 10**7  # images times resamples, over all measures, that one process does in seconds

Measure = Callable[[Numbers], Numbers]  # from weights [B, N], how often each image counts, to [B, ...]


@dataclass(frozen=True)
class Resamples:
    """Patients drawn with replacement, within each fold if there are several.

    The first resample contains every image once, so that one array holds the value and the samples of its interval.
    Scores computed on equal resamples can be subtracted: the difference is then paired. The draws of a resample depend
    on its number, the seed and the patients alone; they are drawn again whenever they are needed, as the weights of a
    thousand resamples of 112,120 images would take 900 MB.

    Attributes
    ----------
    owner
        `[N] int64`, number of each image's patient.
    strata
        Number of patients of each fold; patients are numbered fold by fold.
    count
        Number of resamples, R, without the first.
    """

    owner: NDArray[np.int64]
    strata: tuple[int, ...]
    count: int = RESAMPLES
    seed: int = 0

    def draws(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Yield, in blocks `[B, patients] uint8`, how often each patient was drawn in each resample."""
        stop = 1 + self.count if stop is None else stop
        for first in range(start, stop, CHUNK):
            yield draw_patients(self.strata, self.seed, first, min(first + CHUNK, stop))

    def weights(self, start: int = 0, stop: int | None = None) -> Iterator[Numbers]:
        """Yield, in blocks `[B, N] float64`, how often each image was drawn with its patient."""
        size = max(1, ELEMENTS // max(1, len(self.owner)))
        for draws in self.draws(start, stop):
            for first in range(0, len(draws), size):
                yield draws[first : first + size][:, self.owner].astype(np.float64)

    def evaluate(self, measure: Measure, start: int = 0, stop: int | None = None) -> Numbers:
        """Evaluate a measure, from weights `[B, N]` to `[B, ...]`, on every resample: `[1 + R, ...]`."""
        return np.concatenate([measure(weights) for weights in self.weights(start, stop)])

    def totals(self, values: Numbers | Flags) -> Numbers:
        """Add up values `[N, M]` of the images of every resample: `[1 + R, M]`."""
        count, patients = len(self.owner), sum(self.strata)
        members = csr_array((np.ones(count), (self.owner, np.arange(count))), shape=(patients, count))
        by_patient = members @ values.astype(np.float64)
        return np.concatenate([draws.astype(np.float64) @ by_patient for draws in self.draws()])


@lru_cache(CACHED)
def draw_patients(strata: tuple[int, ...], seed: int, start: int, stop: int) -> NDArray[np.uint8]:
    """Return how often each patient was drawn in the resamples from `start` to `stop`: `[B, patients] uint8`."""
    counts = np.ones((stop - start, sum(strata)), np.uint8)
    ends = np.cumsum(strata, dtype=np.int64).tolist()
    for row in range(max(start, 1) - start, stop - start):
        generator = np.random.default_rng([seed, start + row])
        for size, end in zip(strata, ends, strict=True):
            counts[row, end - size : end] = np.bincount(generator.integers(0, size, size), minlength=size)
    return counts


def resamples(
    patients: Sequence[str], count: int = RESAMPLES, seed: int = 0, folds: Sequence[int] | None = None
) -> Resamples:
    """Draw as many patients as there are, `count` times; with folds `[N]`, as many of each fold as it has."""
    keys = list(zip(repeat(0) if folds is None else folds, patients, strict=False))
    numbers = {key: number for number, key in enumerate(sorted(set(keys)))}
    owner = np.array([numbers[key] for key in keys], np.int64)
    sizes = np.unique(np.array([fold for fold, _ in numbers], np.int64), return_counts=True)[1]
    return Resamples(owner, tuple(sizes.tolist()), count, seed)


def evaluate_all(tasks: Sequence[tuple[Resamples, Measure]], processes: int | None = None) -> list[Numbers]:
    """Evaluate each measure on its resamples, with a progress bar, and in processes if there is much to do.

    Parameters
    ----------
    tasks
        Resamples and measure; to be sent to a process, a measure must be picklable.
    processes
        Number of processes; by default that of the available processors, or one if there is little to do. The result
        does not depend on it.

    Returns
    -------
    list
        `[1 + R, ...]` for each task.
    """
    work = sum(len(drawn.owner) * (1 + drawn.count) for drawn, _ in tasks)
    processes = processes or (1 if work < SMALL else processors())
    pieces = [
        (drawn, measure, start, min(start + CHUNK, 1 + drawn.count))
        for drawn, measure in tasks
        for start in range(0, 1 + drawn.count, CHUNK)
    ]
    with progress_bar(hidden=work < SMALL) as progress:
        if processes == 1:
            done = list(progress.track(map(evaluate_piece, pieces), len(pieces), description="resampling patients"))
        else:
            # Processes are started afresh, as a copy of a process with threads (torch has some) can hang.
            with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
                done = list(
                    progress.track(pool.map(evaluate_piece, pieces), len(pieces), description="resampling patients")
                )
    parts = iter(done)
    return [np.concatenate([next(parts) for _ in range(0, 1 + drawn.count, CHUNK)]) for drawn, _ in tasks]


def evaluate_piece(piece: tuple[Resamples, Measure, int, int]) -> Numbers:
    """Evaluate a measure on the resamples from start to stop: `[stop - start, ...]`."""
    drawn, measure, start, stop = piece
    return drawn.evaluate(measure, start, stop)


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
