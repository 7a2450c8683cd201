"""Side and severity of a finding."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Onset:
    """Side and severity of a finding.

    Attributes
    ----------
    side
        0 right, 1 left.
    grade
        Severity in [0, 1].
    seed
        Seed of everything else about the finding.
    small
        Whether a nodule is small.
    """

    side: int
    grade: float
    seed: int
    small: bool = False

    def rng(self) -> np.random.Generator:
        """Return a new generator, so that every stage of drawing the finding uses the same numbers."""
        return np.random.default_rng(self.seed)


def draw_onset(rng: np.random.Generator, small: float = 0.0) -> Onset:
    """Draw side, grade and seed of a finding; it is small with probability `small`."""
    return Onset(int(rng.integers(2)), float(rng.random()), int(rng.integers(2**31)), bool(rng.random() < small))
