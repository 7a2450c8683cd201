"""Phantoms as a source of samples for training."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from model.labels import LABELS
from training.phantom import film
from training.sample import Sample

VERSION = 1  # of what the phantoms look like: part of the source's key


@dataclass(frozen=True)
class PhantomEntry:
    """What is known of a phantom before it is drawn."""

    image: str
    patient: str
    target: NDArray[np.float32]
    collection: str = "phantom"


@dataclass(frozen=True)
class PhantomSource:
    """`count` phantoms of one seed, square, drawn when asked for."""

    count: int
    seed: int
    size: int

    @property
    def key(self) -> str:
        """Name everything that decides the pixels."""
        return f"phantom-{VERSION}-{self.seed}-{self.size}"

    @cached_property
    def entries(self) -> Sequence[PhantomEntry]:
        """Names, patients and targets of all."""
        return [_entry(self.seed, index) for index in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw one.

        Raises
        ------
        IndexError
            Outside [0, count).
        """
        if not 0 <= index < self.count:
            raise IndexError(f"image {index} of {self.count}")
        picture, entry = film.phantom(self.seed, index, self.size), _entry(self.seed, index)
        return Sample(entry.image, picture.values[None], entry.target, entry.patient, picture.boxes)


def _entry(seed: int, index: int) -> PhantomEntry:
    labels = film.picked(seed, index)
    return PhantomEntry(
        image=f"phantom-{seed}-{index:06d}",
        patient=f"phantom-{seed}-{film.patient_number(index):06d}",
        target=np.array([label in labels for label in LABELS], dtype=np.float32),
    )
