"""Phantoms as a source of samples for training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from model.labels import LABELS
from training.phantom import film
from training.sample import Case, Sample

VERSION = 1  # of what the phantoms look like: part of the source's key


@dataclass(frozen=True)
class PhantomSource:
    """`count` phantoms of one seed, square, drawn when asked for."""

    count: int
    seed: int
    size: int

    @property
    def name(self) -> str:
        """For people."""
        return f"phantoms, seed {self.seed}"

    @property
    def key(self) -> str:
        """Name everything that decides the pixels."""
        return f"phantom-{VERSION}-{self.seed}-{self.size}"

    @cached_property
    def cases(self) -> Sequence[Case]:
        """Names, patients and targets of all."""
        return [_case(self.seed, index) for index in range(self.count)]

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
        picture = film.phantom(self.seed, index, self.size)
        return Sample(replace(_case(self.seed, index), boxes=picture.boxes), picture.values[None])


def _case(seed: int, index: int) -> Case:
    labels = film.picked(seed, index)
    return Case(
        image=f"phantom-{seed}-{index:06d}",
        patient=f"phantom-{seed}-{film.patient_number(index):06d}",
        findings=tuple(float(label in labels) for label in LABELS),
    )
