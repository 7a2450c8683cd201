"""Differences of the service's canvas and probabilities from those of the reference."""

from functools import cache
from typing import NamedTuple

import numpy as np

from service.artefact.file import load
from service.dicom.canvas import canvas
from service.dicom.radiograph import radiograph
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from tests.factories import encode
from tests.service.dicom.conformance import syntaxes, variations
from tests.service.dicom.conformance.pairs import Combination
from tests.service.dicom.conformance.picture import reference
from tests.service.dicom.conformance.syntaxes import Syntax

CANVAS = 1e-6  # float32 against float64: a few units in the last place
# The network computes in float32, and the box moves with its input, which changes the local branch
PROBABILITY = 1e-5
STEP_PROBABILITY = 5e-3  # where decoders may be one stored value apart
LOSS_CANVAS, LOSS_PROBABILITY = 0.02, 0.05  # changes by the lossy encodings, measured and rounded up

SIZE = 512  # larger than the shipped artefact's canvas, as other artefacts need more detail


class Difference(NamedTuple):
    """The largest difference of a pixel of the canvas, and of a probability of the fusion, global or local branch."""

    canvas: float
    probability: float


@cache
def session() -> Session:
    """Load the shipped artefact, on the CPU."""
    return Session(load(SHIPPED_ARTEFACT, None), "cpu", 1)


def probabilities(square: np.ndarray) -> np.ndarray:
    """Return each branch's probabilities, [2 or 3, K] float32, of a canvas, [1, S, S], averaged to the artefact's."""
    size = session().artefact.card.preprocessing.canvas_size
    small = square.reshape(1, size, SIZE // size, size, SIZE // size).mean((2, 4))
    outputs = session().run(small[None].astype(np.float32))[0]
    branches = (outputs.fusion, outputs.global_, outputs.local)
    return np.stack([branch for branch in branches if branch is not None])


def difference(got: np.ndarray, expected: np.ndarray) -> Difference:
    """Return the differences between two canvases, [1, S, S]."""
    apart = np.abs(probabilities(got) - probabilities(expected)).max()
    return Difference(float(np.abs(got - expected).max()), float(apart))


@cache
def encoded(syntax: Syntax, depth: str) -> bytes:
    """Encode the picture as a file."""
    return syntax.encode(variations.wrap(syntaxes.chosen(depth)))


def syntax_differences(syntax: Syntax, depth: str) -> tuple[Difference, Difference]:
    """Return the differences from the reference and from the picture before encoding; equal where nothing is lost."""
    data = encoded(syntax, depth)
    before = variations.shades(syntaxes.chosen(depth))
    after = before if syntax.decode is None else syntaxes.shades_of(syntax.decode(data), depth)
    got = canvas(radiograph(data).values, SIZE)
    to_picture = difference(got, reference(before, SIZE))
    return (to_picture if after is before else difference(got, reference(after, SIZE))), to_picture


def canvas_tolerance(syntax: Syntax, depth: str) -> float:
    """Return the tolerance of the difference from the reference."""
    return CANVAS + (max(syntax.apart, syntaxes.steps(depth)) if syntax.apart else 0)


def probability_tolerance(syntax: Syntax) -> float:
    """Return the tolerance of the difference from the reference."""
    return STEP_PROBABILITY if syntax.apart else PROBABILITY


def combination_difference(chosen: Combination) -> tuple[Difference, float, tuple[str, ...]]:
    """Return the difference under `stretch`, that of the canvas under `pad`, and the flags."""
    read, shades = radiograph(encode(variations.wrap(chosen))), variations.shades(chosen)
    padded = reference(shades, SIZE, "pad", variations.ASPECTS.get(chosen["pixel"], 1.0))
    pad = np.abs(canvas(read.values, SIZE, "pad", read.header.aspect) - padded).max()
    stretch = difference(canvas(read.values, SIZE, "stretch", read.header.aspect), reference(shades, SIZE))
    return stretch, float(pad), read.header.flags
