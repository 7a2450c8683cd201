"""Measures the pixel tables of docs/conformance.md: `python -m bench.pixel_equivalence [--write]`."""

import sys
from pathlib import Path

from bench.scores import between, table
from tests.service.dicom.conformance import measure
from tests.service.dicom.conformance.measure import Difference, combination_difference, syntax_differences
from tests.service.dicom.conformance.pairs import all_pairs, every_pair
from tests.service.dicom.conformance.syntaxes import SYNTAXES, Syntax
from tests.service.dicom.conformance.variations import AXES, allowed

PAGE = Path(__file__).parents[1] / "docs" / "conformance.md"
MARK = "pixels: python -m bench.pixel_equivalence --write"

HEAD = [
    *("transfer syntax", "UID", "encoder", "reference", "stored as"),
    *("canvas, tolerance", "largest", "probability, tolerance", "largest"),
]
LOSS = ["transfer syntax", "canvas, tolerance", "largest", "probability, tolerance", "largest"]
PAIRS = ["what", "tolerance", "largest"]


def exact_row(syntax: Syntax, depth: str, difference: Difference | None = None) -> list[str]:
    """Return the row of a comparison with the reference; without a measurement its cells are empty."""
    name = [syntax.name, syntax.uid, syntax.encoder, syntax.decoder or "the picture", depth]
    canvas, probability = measure.canvas_tolerance(syntax, depth), measure.probability_tolerance(syntax)
    return [*name, *_cells(canvas, probability, difference)]


def loss_row(syntax: Syntax, depth: str, difference: Difference | None = None) -> list[str]:
    """Return the row of a comparison with the picture before it was encoded."""
    name = f"{syntax.name}, {depth}"
    return [name, *_cells(measure.LOSS_CANVAS, measure.LOSS_PROBABILITY, difference)]


def axis_rows() -> list[list[str]]:
    """Return the rows of the table of axes."""
    return [[axis, ", ".join(values)] for axis, values in AXES.items()]


def count() -> str:
    """Describe the number of combinations."""
    combinations, pairs = len(all_pairs(AXES, allowed)), len(every_pair(AXES, allowed))
    return f"{combinations} files in which each of {pairs} pairs of values meets"


def pair_rows(differences: list[float] | None = None) -> list[list[str]]:
    """Return the rows of the table over all combinations."""
    names = ("canvas, rule `stretch`", "canvas, rule `pad`", "probability, of every combination under `stretch`")
    tolerances = (measure.CANVAS, measure.CANVAS, measure.PROBABILITY)
    values = [""] * 3 if differences is None else [f"{value:.1e}" for value in differences]
    return [[name, f"{tolerance:.1e}", value] for name, tolerance, value in zip(names, tolerances, values, strict=True)]


def section() -> str:
    """Measure everything between the marks of the page."""
    exact, loss = [], []
    for syntax in SYNTAXES:
        for depth in syntax.depths:
            to_reference, to_picture = syntax_differences(syntax, depth)
            exact.append(exact_row(syntax, depth, to_reference))
            loss += [loss_row(syntax, depth, to_picture)] if syntax.decode else []
    combined = table([PAIRS, *pair_rows(pairwise())])
    parts = [
        table([HEAD, *exact]),
        "What the lossy encodings change, by their own nature, against the picture before it was encoded:",
        table([LOSS, *loss]),
        f"All pairs of these, {count()}:",
        table([["axis", "values"], *axis_rows()]),
        "Over all of them:",
        combined,
    ]
    return "\n\n".join(parts)


def pairwise() -> list[float]:
    """Return the largest differences over all combinations: canvas under both rules, probability."""
    results = [combination_difference(chosen)[:2] for chosen in all_pairs(AXES, allowed)]
    rows = [(stretch.canvas, pad, stretch.probability) for stretch, pad in results]
    return [max(column) for column in zip(*rows, strict=True)]


def _cells(canvas: float, probability: float, difference: Difference | None) -> list[str]:
    measured = ("", "") if difference is None else (f"{difference.canvas:.1e}", f"{difference.probability:.1e}")
    return [f"{canvas:.1e}", measured[0], f"{probability:.1e}", measured[1]]


if __name__ == "__main__":
    text = section()
    if "--write" in sys.argv[1:]:
        between(PAGE, MARK, text)
    else:
        print(text)
