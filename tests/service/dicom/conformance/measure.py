"""How far the service's canvas and probabilities are from those of the reference."""

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
# The same through a network in float32, whose box moves by as little and takes the local branch with it.
PROBABILITY = 1e-5
STEP_PROBABILITY = 5e-3  # where decoders may be one stored value apart
LOSS_CANVAS, LOSS_PROBABILITY = 0.02, 0.05  # what the lossy encodings here may change; measured, and rounded up

SIZE = 512  # of the shipped artefact's canvas; so `pad` is measured, too, which it does not use


class Difference(NamedTuple):
    """The largest of any pixel of the canvas, and of any probability of the fusion, global and local branch."""

    canvas: float
    probability: float


@cache
def session() -> Session:
    """The artefact that ships, on the processor."""
    return Session(load(SHIPPED_ARTEFACT, None), "cpu", 1)


def probabilities(square: np.ndarray) -> np.ndarray:
    """[3, K] of a canvas."""
    found = session().run(square[None].astype(np.float32))[0]
    return np.stack([found.fusion, found.global_, found.local])


def difference(got: np.ndarray, wanted: np.ndarray) -> Difference:
    """Of two canvases."""
    apart = np.abs(probabilities(got) - probabilities(wanted)).max()
    return Difference(float(np.abs(got - wanted).max()), float(apart))


@cache
def encoded(syntax: Syntax, depth: str) -> bytes:
    """The picture as a file."""
    return syntax.encode(variations.wrap(syntaxes.chosen(depth)))


def of_syntax(syntax: Syntax, depth: str) -> tuple[Difference, Difference]:
    """To the reference, and to the picture before it was encoded: the same where nothing is lost."""
    data = encoded(syntax, depth)
    before = variations.shades(syntaxes.chosen(depth))
    after = before if syntax.decode is None else syntaxes.shades_of(syntax.decode(data), depth)
    got = canvas(radiograph(data).values, SIZE)
    to_picture = difference(got, reference(before, SIZE))
    return (to_picture if after is before else difference(got, reference(after, SIZE))), to_picture


def canvas_tolerance(syntax: Syntax, depth: str) -> float:
    """To the reference."""
    return CANVAS + (max(syntax.apart, syntaxes.steps(depth)) if syntax.apart else 0)


def probability_tolerance(syntax: Syntax) -> float:
    """To the reference."""
    return STEP_PROBABILITY if syntax.apart else PROBABILITY


def of_combination(chosen: Combination) -> tuple[Difference, float, tuple[str, ...]]:
    """Under `stretch`; of the canvas under `pad`; and the flags."""
    read, shades = radiograph(encode(variations.wrap(chosen))), variations.shades(chosen)
    padded = reference(shades, SIZE, "pad", variations.ASPECTS.get(chosen["pixel"], 1.0))
    pad = np.abs(canvas(read.values, SIZE, "pad", read.header.aspect) - padded).max()
    stretch = difference(canvas(read.values, SIZE, "stretch", read.header.aspect), reference(shades, SIZE))
    return stretch, float(pad), read.header.flags
