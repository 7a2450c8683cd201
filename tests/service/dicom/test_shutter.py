"""Shutters against loops over all pixels."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR

from service.dicom.pixels import display
from service.dicom.radiograph import radiograph
from service.dicom.shutter import Shutter, shutter
from service.dicom.unwindowed import without_window
from service.errors import UnsuitableImage
from tests.factories import chest, dicom_bytes, ramp
from tests.service.dicom.test_unwindowed import viewed

HEIGHT, WIDTH = 9, 12
EDGES = ("ShutterLeftVerticalEdge", "ShutterRightVerticalEdge", "ShutterUpperHorizontalEdge")
LOWER = "ShutterLowerHorizontalEdge"


def rectangle(left: Any, right: Any, upper: Any, lower: Any) -> dict[str, Any]:
    return {"ShutterShape": "RECTANGULAR", **dict(zip((*EDGES, LOWER), (left, right, upper, lower), strict=True))}


def circle(row: int, column: int, radius: int) -> dict[str, Any]:
    return {
        "ShutterShape": "CIRCULAR",
        "CenterOfCircularShutter": [row, column],
        "RadiusOfCircularShutter": radius,
    }


def polygon(*vertices: int) -> dict[str, Any]:
    return {"ShutterShape": "POLYGONAL", "VerticesOfThePolygonalShutter": list(vertices)}


def of(elements: dict[str, Any], aspect: float = 1.0) -> tuple[Shutter | None, tuple[str, ...]]:
    dataset = Dataset()
    dataset.Rows, dataset.Columns = HEIGHT, WIDTH
    for keyword, value in elements.items():
        dataset[keyword] = DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE)
    return shutter(dataset, aspect)


def visible(result: Shutter | None) -> list[tuple[int, int]]:
    """Row and column, from 1, of every pixel that is not covered."""
    assert result is not None
    return [(int(row) + 1, int(column) + 1) for row, column in np.argwhere(~result.covered)]


@given(*(st.integers(-3, 15) for _ in range(4)))
def test_a_rectangle_leaves_the_pixels_on_and_between_its_edges(left: int, right: int, upper: int, lower: int) -> None:
    expected = [
        (row, column)
        for row in range(1, HEIGHT + 1)
        for column in range(1, WIDTH + 1)
        if left <= column <= right and upper <= row <= lower
    ]
    result, flags = of(rectangle(left, right, upper, lower))
    if len(expected) == HEIGHT * WIDTH:
        assert (result, flags) == (None, ())
    elif not expected:
        assert (result, flags) == (None, ("display_shutter_unusable",))
    else:
        assert visible(result) == expected
        assert flags == ("display_shutter",)


@given(st.integers(-3, 12), st.integers(-3, 15), st.integers(1, 20), st.sampled_from([0.5, 1, 2]))
def test_a_circle_is_round_on_the_body(row: int, column: int, radius: int, aspect: float) -> None:
    """Its radius counts columns: over pixels that are twice as high as wide it covers half as many rows."""
    expected = [
        (y, x)
        for y in range(1, HEIGHT + 1)
        for x in range(1, WIDTH + 1)
        if (x - column) ** 2 + ((y - row) * aspect) ** 2 <= radius**2
    ]
    result, _ = of(circle(row, column, radius), aspect)
    assert result is None if len(expected) in (0, HEIGHT * WIDTH) else visible(result) == expected


@pytest.mark.parametrize(
    ("vertices", "expected"),
    [
        ((2, 3, 2, 6, 4, 6, 4, 3), [(row, column) for row in (2, 3, 4) for column in (3, 4, 5, 6)]),
        ((1, 1, 1, 4, 4, 1), [(row, column) for row in range(1, 5) for column in range(1, 6 - row)]),
        ((8, 11, 8, 99, 99, 99, 99, 11), [(row, column) for row in (8, 9) for column in (11, 12)]),
    ],
)
def test_a_polygon_leaves_its_edges_and_what_is_inside(vertices: tuple[int, ...], expected: list[Any]) -> None:
    result, flags = of(polygon(*vertices))
    assert visible(result) == expected
    assert flags == ("display_shutter",)


def test_of_several_shapes_what_is_inside_all_is_visible() -> None:
    """PS3.3 C.7.6.11: the least amount of image remains."""
    shapes = circle(5, 6, 3) | rectangle(6, 9, 1, 9) | {"ShutterShape": ["CIRCULAR", "RECTANGULAR"]}
    result, flags = of(shapes)
    one, other = of(circle(5, 6, 3))[0], of(rectangle(6, 9, 1, 9))[0]
    assert one is not None
    assert other is not None
    assert visible(result) == sorted(set(visible(one)) & set(visible(other)))
    assert flags == ("display_shutter",)
    assert result is not None
    assert result.shapes == ("CIRCULAR", "RECTANGULAR")
    assert result.elements["CenterOfCircularShutter"] == [5, 6]


@pytest.mark.parametrize(
    "elements",
    [
        rectangle(9, 3, 1, 9),
        rectangle(3, 9, 8, 2),
        rectangle(50, 60, 1, 9),
        rectangle(3, None, 1, 9),
        rectangle(3, [9, 10], 1, 9),
        circle(5, 6, 0),
        circle(5, 6, -2),
        circle(500, 6, 2),
        polygon(1, 1, 4, 4),
        polygon(1, 1, 4, 4, 9),
        polygon(1, 1, 2**31, 2**31, 1, 9),
        polygon(*range(2100)),
        {"ShutterShape": "BITMAP"},
        {"ShutterShape": "HEXAGONAL"},
        {"ShutterShape": "POLYGONAL"},
    ],
    ids=str,
)
def test_an_unusable_shutter_is_ignored_with_a_flag(elements: dict[str, Any]) -> None:
    assert of(elements) == (None, ("display_shutter_unusable",))


def test_a_usable_shape_counts_beside_an_unusable_one() -> None:
    result, flags = of(rectangle(2, 3, 4, 5) | {"ShutterShape": ["POLYGONAL", "RECTANGULAR"]})
    assert visible(result) == [(4, 2), (4, 3), (5, 2), (5, 3)]
    assert flags == ("display_shutter", "display_shutter_unusable")


def test_a_shape_in_small_letters_is_read() -> None:
    assert of(rectangle(2, 3, 4, 5) | {"ShutterShape": "rectangular"})[1] == ("display_shutter",)


def test_no_shutter() -> None:
    assert of({}) == of({"ShutterShape": ""}) == (None, ())


# In the pixel path...

LEFT_HALF = rectangle(1, 2, 1, 1)
ROW = np.array([[100, 200, 4000, 300]], np.uint16)
NO_WINDOW = {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None}


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_covered_pixels_are_black_after_the_inversion_and_not_part_of_the_range(photometric: str) -> None:
    dataset = chest(ROW, **LEFT_HALF, **NO_WINDOW, PhotometricInterpretation=photometric)
    result = display(ROW, dataset)
    assert result.values.tolist() == [[1, 0, 0, 0] if photometric == "MONOCHROME1" else [0, 1, 0, 0]]
    assert result.presentation.flags == ("window_missing", "display_shutter")


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [None, 100, 4000])
def test_a_viewer_shows_the_same(photometric: str, padding: int | None) -> None:
    stored = np.array([[100, 150, 200, 4000, 300]], np.uint16)
    elements = rectangle(1, 3, 1, 1) | {"PhotometricInterpretation": photometric, "PixelPaddingValue": padding}
    dataset = chest(stored, **elements, WindowCenter=160, WindowWidth=200)
    result = without_window(stored, dataset)
    for preset in result.windows[:1]:
        assert viewed(result, preset) == pytest.approx(display(stored, dataset).values, abs=1e-5)


def test_a_shutter_over_all_but_one_grey_is_refused() -> None:
    pixels = ramp()
    pixels[:20, :20] = 7
    with pytest.raises(UnsuitableImage) as refusal:
        radiograph(dicom_bytes(pixels, **rectangle(1, 20, 1, 20)))
    assert [reason.code for reason in refusal.value.reasons] == ["image_blank"]
