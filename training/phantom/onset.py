"""Where and how severely a finding sets in."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Onset:
    """`side` 0 right or 1 left, `grade` in [0, 1], the seed of all else about it, and whether a nodule is `small`."""

    side: int
    grade: float
    seed: int
    small: bool = False

    def rng(self) -> np.random.Generator:
        """Give a fresh generator: every stage of drawing the finding sees the same numbers."""
        return np.random.default_rng(self.seed)


def onset(rng: np.random.Generator, small: float = 0.0) -> Onset:
    """Draw one, small with the probability given."""
    return Onset(int(rng.integers(2)), float(rng.random()), int(rng.integers(2**31)), bool(rng.random() < small))
