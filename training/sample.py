"""What every source gives: a radiograph's canvas with what is known about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Sample:
    """One radiograph.

    Attributes
    ----------
    image
        Its name, unique within its source.
    canvas
        [1, S, S] float32 in [0, 1].
    target
        [K] float32, 1 present, 0 absent, NaN unknown; in the order of `model.labels.LABELS`.
    patient
        Whose it is: patients never cross splits.
    boxes
        Label to boxes (x0, y0, x1, y1) in [0, 1] of the canvas, exclusive end.
    """

    image: str
    canvas: Floats
    target: Floats
    patient: str
    boxes: Mapping[str, tuple[Box, ...]] = field(default_factory=dict)


class Entry(Protocol):
    """What is known of a radiograph before its pixels are read."""

    @property
    def image(self) -> str: ...  # noqa: D102

    @property
    def patient(self) -> str: ...  # noqa: D102

    @property
    def collection(self) -> str: ...  # noqa: D102

    @property
    def target(self) -> Floats: ...  # noqa: D102


class Source(Protocol):
    """A sequence of samples whose entries are known without reading a pixel.

    `key` names everything that decides the pixels: equal keys, equal canvases.
    """

    @property
    def key(self) -> str: ...  # noqa: D102

    @property
    def size(self) -> int: ...  # noqa: D102

    @property
    def entries(self) -> Sequence[Entry]: ...  # noqa: D102

    def __getitem__(self, index: int) -> Sample: ...

    def __len__(self) -> int: ...
