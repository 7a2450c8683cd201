"""A radiograph has one canvas and one prediction, however it is stored; docs/conformance.md lists these cases."""

import shutil
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread

from bench import pixel_equivalence as page
from service.dicom.decoder import SYNTAXES as READ
from service.dicom.decoder import decode
from service.dicom.radiograph import radiograph
from service.dicom.reader import read
from tests.service.dicom.conformance import measure, variations
from tests.service.dicom.conformance.measure import combination_difference, encoded, syntax_differences
from tests.service.dicom.conformance.pairs import Combination, all_pairs
from tests.service.dicom.conformance.picture import BORDER, picture, reference
from tests.service.dicom.conformance.syntaxes import SYNTAXES, Syntax, by_pylibjpeg, chosen, fragment
from tests.service.dicom.conformance.variations import AXES, PLAIN, allowed

TOOLS = ("dcmconv", "dcmcrle", "dcmcjpeg", "dcmcjpls", "dcmdjpeg", "dcmdjpls")
needs_dcmtk = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason="DCMTK is not installed")

CASES = [pytest.param(one, depth, id=f"{one.name}, {depth}") for one in SYNTAXES for depth in one.depths]
COMBINATIONS = all_pairs(AXES, allowed)


# The picture and its reference...


def test_the_picture_is_whole_at_every_depth() -> None:
    greys = np.unique(picture())
    assert greys.tolist() == list(range(0, 256, 3))
    assert picture()[:BORDER].max() == 0


def test_the_reference_by_hand() -> None:
    assert reference(np.array([[0.0, 1.0]]), 4)[0, 0].tolist() == [0, 0.25, 0.75, 1]  # centres at -¼, ¼, ¾, 1¼
    assert reference(np.array([[0.0, 0, 0, 1.0]]), 2)[0, 1].tolist() == pytest.approx([0, 3 / 7])  # ¾ of ¼ + ¾ + ¾
    tall = reference(np.ones((2, 2)), 8, "pad", aspect=2.0)[0]
    assert tall[0].tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


# Every transfer syntax...


def test_every_supported_syntax_is_here() -> None:
    assert {syntax.uid for syntax in SYNTAXES} == READ


@needs_dcmtk
@pytest.mark.parametrize(("syntax", "depth"), CASES)
def test_a_syntax_gives_the_canvas_and_the_prediction(syntax: Syntax, depth: str) -> None:
    to_reference, to_picture = syntax_differences(syntax, depth)

    assert to_reference.canvas <= measure.canvas_tolerance(syntax, depth)
    assert to_reference.probability <= measure.probability_tolerance(syntax)
    if syntax.decoder:
        assert 2 * measure.CANVAS < to_picture.canvas <= measure.LOSS_CANVAS  # it was really lossy
        assert to_picture.probability <= measure.LOSS_PROBABILITY


@needs_dcmtk
@pytest.mark.parametrize(("syntax", "depth"), CASES)
def test_a_file_is_in_the_syntax_of_its_row(syntax: Syntax, depth: str) -> None:
    dataset = dcmread(BytesIO(encoded(syntax, depth)))

    assert dataset.file_meta.TransferSyntaxUID == syntax.uid
    assert dataset.BitsStored == int(depth.split()[0])
    assert dataset.PixelRepresentation == depth.endswith("signed")


@needs_dcmtk
@pytest.mark.parametrize(("syntax", "depth"), [case for case in CASES if not case.values[0].decoder])
def test_a_lossless_syntax_gives_exact_display_values(syntax: Syntax, depth: str) -> None:
    shown = radiograph(encoded(syntax, depth))

    assert np.array_equal(shown.values, variations.shades(chosen(depth)).astype(np.float32))
    assert shown.header.flags == ()


@pytest.mark.parametrize(("syntax", "depth"), [case for case in CASES if "HTJ2K Lossless" in case.values[0].name])
def test_another_decoder_reads_what_the_service_s_own_library_encoded(syntax: Syntax, depth: str) -> None:
    data = encoded(syntax, depth)
    assert np.array_equal(by_pylibjpeg(data), decode(read(data)))


def test_rpcl_is_in_that_order_with_tile_part_lengths() -> None:
    rpcl = next(syntax for syntax in SYNTAXES if syntax.name == "HTJ2K Lossless RPCL")
    stream = fragment(encoded(rpcl, "12"))

    cod = stream.index(b"\xff\x52")
    assert stream[cod + 5] == 2  # ITU-T T.800 table A.16: RPCL
    assert b"\xff\x55" in stream[: stream.index(b"\xff\x90")]  # TLM before the first tile part


# Every pair of variations...


@pytest.mark.parametrize("combination", COMBINATIONS, ids=lambda chosen: "-".join(chosen.values()).replace(" ", "_"))
def test_a_combination_gives_the_canvas_the_prediction_and_its_flags(combination: Combination) -> None:
    stretch, pad, flags = combination_difference(combination)

    assert max(stretch.canvas, pad) <= measure.CANVAS
    assert stretch.probability <= measure.PROBABILITY
    assert len(flags) == len(set(flags))
    assert set(flags) == variations.flags(combination)


def test_combinations_with_every_flag_and_with_none_occur() -> None:
    raised = [variations.flags(combination) for combination in COMBINATIONS]
    assert set().union(*raised) == {"window_missing", "polarity_conflict", "pixels_not_square"}
    assert variations.flags(PLAIN) == set()


# The page...


def between(begin: str, end: str) -> list[list[str]]:
    """Return the cells of the table between two texts, without its head."""
    part = page.PAGE.read_text(encoding="utf-8").split(begin)[1].split(end)[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_has_the_rows_that_are_tested() -> None:
    lossy = [(syntax, depth) for syntax, depth in (case.values for case in CASES) if syntax.decoder]
    tables = {
        ("<!-- " + page.MARK, "What the lossy"): [page.exact_row(*case.values) for case in CASES],
        ("What the lossy", "All pairs"): [page.loss_row(*case) for case in lossy],
        (page.count(), "Over all"): page.axis_rows(),
        ("Over all", "<!-- " + page.MARK + " end"): page.pair_rows(),
    }
    for (begin, end), expected in tables.items():
        rows = between(begin, end)
        assert [fixed(row, like) for row, like in zip(rows, expected, strict=True)] == expected


def fixed(row: list[str], like: list[str]) -> list[str]:
    """Remove the measurements from a row, after checking that each is within the tolerance before it."""
    for tolerance, value, cell in zip(row, row[1:], like[1:], strict=False):
        assert cell or float(value) <= float(tolerance)
    return [value if cell else "" for value, cell in zip(row, like, strict=True)]
