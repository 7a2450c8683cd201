import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from tests.service.web.chromium import Modules

STORED = np.array([0, 1, 500, 1023, 1024, 1025, 2047, 2048, 2049, 3000, 4095, 40000, 65535], np.uint16)
GREYS = """(m, header, window, inverted, stored) => {
    const table = m.greys(header, window, inverted, [0, 65535]);
    return stored.map((value) => [0, 8, 16, 24].map((shift) => (table[value] >>> shift) & 255));
}"""


def by_pydicom(window: dict[str, object], slope: float, intercept: float) -> np.ndarray:
    """Return the brightness in [0, 1] that pydicom computes."""
    dataset = Dataset()
    dataset.BitsStored, dataset.BitsAllocated, dataset.PixelRepresentation = 16, 16, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    dataset.WindowCenter, dataset.WindowWidth = window["center"], window["width"]
    dataset.VOILUTFunction = window["function"]
    shown = apply_voi_lut(apply_modality_lut(STORED, dataset), dataset)
    low, high = intercept, 65535 * slope + intercept
    return np.asarray((shown - low) / (high - low))


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize(("slope", "intercept"), [(1, 0), (0.5, -1024)])
@pytest.mark.parametrize(
    ("function", "center", "width"),
    [
        ("LINEAR", 2048, 4096),
        ("LINEAR", 1024.5, 1),
        ("LINEAR", -100, 300.5),
        ("LINEAR_EXACT", 2048, 4096),
        ("LINEAR_EXACT", 500, 0.25),
        ("SIGMOID", 1500, 2000),
    ],
)
def test_greys_equal_those_of_pydicom(
    modules: Modules, function: str, center: float, width: float, slope: float, intercept: float, inverted: bool
) -> None:
    window = {"center": center, "width": width, "function": function}
    header = {"slope": slope, "intercept": intercept, "padding": None}

    actual = np.array(modules.call("window.js", GREYS, header, window, inverted, STORED.tolist()))

    share = by_pydicom(window, slope, intercept)
    assert (actual[:, 3] == 255).all()
    assert (actual[:, :1] == actual[:, 1:3]).all()
    assert np.abs(actual[:, 0] - 255 * (1 - share if inverted else share)).max() <= 0.5 + 1e-4


@pytest.mark.parametrize("inverted", [False, True])
def test_padding_is_black_in_every_window(modules: Modules, inverted: bool) -> None:
    header, window = {"slope": 1, "intercept": 0, "padding": 4095}, {"center": 9, "width": 9, "function": "LINEAR"}

    assert modules.call("window.js", GREYS, header, window, inverted, [4095]) == [[0, 0, 0, 255]]


def test_a_drag_widens_to_the_right_and_raises_the_centre_downwards(modules: Modules) -> None:
    window = {"name": "x", "center": 2000, "width": 3000, "function": "LINEAR"}
    drag = "(m, ...args) => m.dragged(...args)"

    assert modules.call("window.js", drag, window, 10, -5, 4) == window | {"center": 1980, "width": 3040}
    assert modules.call("window.js", drag, window, -5000, 0, 4)["width"] == 1


def test_the_full_range_spans_black_to_white(modules: Modules) -> None:
    header = {"slope": -2, "intercept": 10, "padding": None}
    window = modules.call("window.js", "(m, header) => m.fullRange(header, [5, 105])", header)
    shades = "(m, window) => [-200, -100, 0].map((value) => m.shade(value, window))"

    assert window == {"name": "full range", "center": -100, "width": 200, "function": "LINEAR_EXACT"}
    assert modules.call("window.js", shades, window) == [0, 0.5, 1]


def test_the_automatic_window_spans_percentiles_of_the_middle(modules: Modules) -> None:
    """Neither a bright frame nor padding counts."""
    lungs = np.random.default_rng(1).integers(1000, 2001, (96, 96))
    image = np.full((128, 144), 4000)
    image[16:112, 24:120] = lungs
    image[16:112, 24:40] = 7  # padding
    call = """(m, small, header) => m.automatic(header, {
        width: 576, height: 512, // each value of `small` [128, 144] four times along each side
        values: Uint16Array.from({ length: 576 * 512 }, (_, at) => small[(at / 576 >> 2) * 144 + (at % 576 >> 2)]),
    })"""
    header = {"slope": 2, "intercept": -100, "padding": 7}

    window = modules.call("window.js", call, image.ravel().tolist(), header)

    low, high = np.percentile(2 * lungs[:, 16:] - 100, [1, 99])
    assert window["center"] - window["width"] / 2 == pytest.approx(low, abs=10)
    assert window["center"] + window["width"] / 2 == pytest.approx(high, abs=10)
    assert modules.call("window.js", call, [5] * (128 * 144), header) is None
