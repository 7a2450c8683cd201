"""Whatever a header says, derived objects and the values for a viewer say what the pixel path did."""

from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from service.dicom.radiograph import radiograph, unwindowed
from service.errors import MalformedDicom
from tests.factories import chest, encode
from tests.service.dicom.test_unwindowed import viewed
from tests.service.objects.rendered import parsed, record, rendered

SMALL = record(box=(1, 2, 200, 201))
UNSIGNED = (np.arange(256 * 256).reshape(256, 256) % 4096).astype(np.uint16)
SIGNED = (np.arange(256 * 256).reshape(256, 256) % 64 - 32).astype(np.int16)
BYTES = (np.arange(256 * 256).reshape(256, 256) % 200).astype(np.uint8)
PIXELS = {"unsigned": UNSIGNED, "signed": SIGNED, "bytes": BYTES}


def lut(first: int, bits: int, entries: list[int], data: str = "words") -> list[Dataset]:
    """A sequence of one lookup table; the first value is written in US, whichever sign pixels have."""
    item = Dataset()
    descriptor = [len(entries) % 2**16, first, bits]
    item["LUTDescriptor"] = DataElement("LUTDescriptor", "US", descriptor, validation_mode=IGNORE)
    if data == "words":
        item.add_new("LUTData", "US", entries)
    else:
        item.add_new("LUTData", "OW", bytes(entries) + b"\0" * (len(entries) % 2))
    return [item]


def file(pixels: str, **elements: Any) -> bytes:
    """A radiograph whose header holds `elements`, unchecked: text as it would be in a file; None takes one away."""
    dataset = chest(PIXELS[pixels], **{keyword: None for keyword, value in elements.items() if value is None})
    for keyword, value in elements.items():
        if isinstance(value, str):
            data = value.encode().ljust(len(value) + len(value) % 2)
            dataset[keyword] = RawDataElement(Tag(keyword), dictionary_VR(keyword), len(data), data, 0, False, True)
        elif value is not None:
            vr = dictionary_VR(keyword).split(" ")[0]
            dataset[keyword] = DataElement(keyword, vr, value, validation_mode=IGNORE)
    return encode(dataset)


def by_presentation_state(state: Dataset, stored: np.ndarray) -> np.ndarray | None:
    """Show [H, W] stored values by a presentation state, PS3.4 N.2; None where it leaves the VOI to the viewer."""
    values = stored.astype(np.float64)
    if "ModalityLUTSequence" in state:
        values = mapped(values, state.ModalityLUTSequence[0])
    elif "RescaleSlope" in state:
        values = values * float(state.RescaleSlope) + float(state.RescaleIntercept)
    if "SoftcopyVOILUTSequence" not in state:
        return None
    (voi,) = state.SoftcopyVOILUTSequence
    if "VOILUTSequence" in voi:
        greys = mapped(values, voi.VOILUTSequence[0]) / 65535
    else:
        centre, width = float(voi.WindowCenter), float(voi.WindowWidth)
        if voi.VOILUTFunction == "SIGMOID":
            greys = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        elif voi.VOILUTFunction == "LINEAR_EXACT":
            assert width > 0
            greys = np.clip((values - centre) / width + 0.5, 0, 1)
        else:
            assert width >= 1  # PS3.3 C.11.2.1.2.1
            low, high = centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
            greys = np.where(values <= low, 0.0, np.where(values > high, 1.0, (values - low) / max(width - 1, 1e-300)))
    greys = 1 - greys if state.PresentationLUTShape == "INVERSE" else greys
    return np.where(covered(state, stored.shape), 0, greys) if "ShutterShape" in state else greys


def covered(state: Dataset, shape: tuple[int, ...]) -> np.ndarray:
    """[H, W] bool, where a presentation state covers an image, PS3.3 C.7.6.11; pixel by pixel."""
    assert state.ShutterPresentationValue == 0
    covers = np.zeros(shape, bool)
    for y, x in np.ndindex(shape):
        row, column = y + 1, x + 1
        if "RECTANGULAR" in state.ShutterShape:
            inside = state.ShutterLeftVerticalEdge <= column <= state.ShutterRightVerticalEdge
            covers[y, x] |= not (inside and state.ShutterUpperHorizontalEdge <= row <= state.ShutterLowerHorizontalEdge)
        if "CIRCULAR" in state.ShutterShape:
            centre = state.CenterOfCircularShutter
            covers[y, x] |= (row - centre[0]) ** 2 + (column - centre[1]) ** 2 > state.RadiusOfCircularShutter**2
    return covers


def mapped(values: np.ndarray, item: Dataset) -> np.ndarray:
    """Look values up in a table with 16-bit entries."""
    count, first, bits = item.LUTDescriptor
    entries = np.frombuffer(item.LUTData, "<u2")
    assert (entries.size, bits) == (count % 2**16 or 2**16, 16)
    return entries[np.clip(np.rint(values) - first, 0, entries.size - 1).astype(int)].astype(np.float64)


RISING = list(range(0, 200, 10))
SHUTTER = {
    "ShutterShape": r"RECTANGULAR\CIRCULAR",
    **dict(zip(("ShutterLeftVerticalEdge", "ShutterRightVerticalEdge"), ("11", "200"), strict=True)),
    **dict(zip(("ShutterUpperHorizontalEdge", "ShutterLowerHorizontalEdge"), ("21", "250"), strict=True)),
    "CenterOfCircularShutter": r"128\100",
    "RadiusOfCircularShutter": "90",
    "ShutterPresentationValue": [65535],
}
NO_WINDOW = {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None}
GREYS: dict[str, tuple[str, dict[str, Any]]] = {
    "a sound header": ("unsigned", {}),
    "several windows": ("unsigned", {"WindowCenter": r"900\5", "WindowWidth": r"700\9"}),
    "several windows, the first invalid": ("unsigned", {"WindowCenter": r"900\5", "WindowWidth": r"0\9"}),
    "more centres than widths": ("unsigned", {"WindowCenter": r"900\5", "WindowWidth": "700"}),
    "a width below zero": ("signed", {"WindowWidth": "-5"}),
    "CUBIC, half a width": ("signed", {"WindowCenter": "2", "WindowWidth": "0.5", "VOILUTFunction": "CUBIC"}),
    "LINEAR, half a width": ("unsigned", {"WindowCenter": "2", "WindowWidth": "0.5"}),
    "LINEAR, a width of one": ("signed", {"WindowCenter": "2", "WindowWidth": "1"}),
    "an unknown function": ("unsigned", {"VOILUTFunction": "CUBIC"}),
    "two functions": ("unsigned", {"VOILUTFunction": r"SIGMOID\LINEAR"}),
    "a function in small letters": ("unsigned", {"VOILUTFunction": "sigmoid"}),
    "LINEAR_EXACT, half a width": ("signed", {"WindowWidth": "0.5", "VOILUTFunction": "LINEAR_EXACT"}),
    "LINEAR_EXACT, hardly a width": ("signed", {"WindowWidth": "1e-10", "VOILUTFunction": "LINEAR_EXACT"}),
    "SIGMOID, no width": ("unsigned", {"WindowWidth": "0", "VOILUTFunction": "SIGMOID"}),
    "a flat image": (
        "bytes",
        {"WindowCenter": "5", "WindowWidth": "0", "RescaleSlope": "1e-9", "RescaleIntercept": "7"},
    ),
    "a slope below zero": ("unsigned", {"RescaleSlope": "-2", "RescaleIntercept": "4000"}),
    "two slopes": ("unsigned", {"RescaleSlope": r"2\3", "RescaleIntercept": r"-7\8"}),
    "an intercept alone": ("unsigned", {"RescaleIntercept": "1000"}),
    "a slope alone": ("unsigned", {"RescaleSlope": "0.5"}),
    "a rescale and an invalid window": (
        "unsigned",
        {"RescaleSlope": "0.3", "RescaleIntercept": "-5.5", "WindowWidth": "0"},
    ),
    "a VOI LUT that begins below zero": ("signed", {"VOILUTSequence": lut(65526, 8, RISING)}),
    "a VOI LUT after an intercept": ("unsigned", {"VOILUTSequence": lut(65526, 8, RISING), "RescaleIntercept": "-20"}),
    "a VOI LUT beside a window": ("unsigned", {"VOILUTSequence": lut(100, 8, RISING), "WindowWidth": "5"}),
    "a VOI LUT that understates its bits": ("signed", {"VOILUTSequence": lut(0, 8, [0, 500, 1000])}),
    "a VOI LUT in bytes": ("signed", {"VOILUTSequence": lut(0, 8, [0, 9, 99, 200, 255], "bytes")}),
    "a VOI LUT without data beside a window": ("unsigned", {"VOILUTSequence": [Dataset()]}),
    "a VOI LUT of no bits beside a window": ("signed", {"VOILUTSequence": lut(0, 0, [1, 2]), "WindowWidth": "50"}),
    "a window below every pixel": ("unsigned", {"WindowCenter": "-100", "WindowWidth": "50"}),
    "a window above every pixel": ("signed", {"WindowCenter": "9000", "WindowWidth": "50"}),
    "a SIGMOID beside every pixel": (
        "signed",
        {"WindowCenter": "9000", "WindowWidth": "50", "VOILUTFunction": "SIGMOID"},
    ),
    "a shutter": ("unsigned", SHUTTER),
    "a shutter, MONOCHROME1, and a window below": (
        "unsigned",
        SHUTTER | {"PhotometricInterpretation": "MONOCHROME1", "WindowCenter": "-100", "WindowWidth": "50"},
    ),
    "a Modality LUT that begins below zero": (
        "signed",
        {"ModalityLUTSequence": lut(65526, 16, RISING), "WindowCenter": "90", "WindowWidth": "100"},
    ),
    "a Modality LUT beside a slope": (
        "unsigned",
        {"ModalityLUTSequence": lut(7, 16, RISING), "RescaleSlope": "0", "WindowCenter": "90", "WindowWidth": "100"},
    ),
    "MONOCHROME1": ("unsigned", {"PhotometricInterpretation": "MONOCHROME1"}),
    "MONOCHROME1, no shape": ("unsigned", {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": None}),
    "MONOCHROME1, another shape": (
        "unsigned",
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "LIN OD"},
    ),
    "two shapes": ("unsigned", {"PresentationLUTShape": r"INVERSE\IDENTITY"}),
    "a shape that contradicts": ("unsigned", {"PresentationLUTShape": "INVERSE"}),
}


@pytest.mark.parametrize("header", GREYS)
def test_a_presentation_state_and_a_viewer_show_the_display_values(header: str) -> None:
    pixels, elements = GREYS[header]
    data = file(pixels, **elements)

    expected = radiograph(data).values
    by_state = by_presentation_state(parsed(rendered("presentation_state", data, SMALL)), PIXELS[pixels])
    result = unwindowed(data)

    assert by_state is not None
    assert np.abs(by_state - expected).max() < 1e-5  # entries of a table are rounded to 16 bits
    assert np.abs(viewed(result, result.windows[0]) - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("pixels", "elements"),
    [
        ("unsigned", NO_WINDOW),
        ("signed", NO_WINDOW | {"RescaleSlope": "2"}),
        ("bytes", {}),
        ("unsigned", {"WindowCenter": "", "WindowWidth": "100"}),
        ("unsigned", {"WindowCenter": "900", "WindowWidth": None}),
    ],
)
def test_without_a_window_a_presentation_state_leaves_it_to_the_viewer(pixels: str, elements: dict[str, Any]) -> None:
    state = parsed(rendered("presentation_state", file(pixels, **elements), SMALL))

    assert by_presentation_state(state, PIXELS[pixels]) is None


def test_the_first_value_of_a_table_is_written_with_its_sign() -> None:
    state = parsed(rendered("presentation_state", file("signed", VOILUTSequence=lut(65526, 8, RISING)), SMALL))

    descriptor = state.SoftcopyVOILUTSequence[0].VOILUTSequence[0]["LUTDescriptor"]
    assert (descriptor.VR, list(descriptor.value)) == ("SS", [20, -10, 16])


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": "nan"},
        {"WindowWidth": "wide"},
        {"RescaleSlope": "0"},
        {"RescaleSlope": "inf"},
        {"ModalityLUTSequence": [Dataset()]},
        {"PixelSpacing": r"wide\1"},
    ],
    ids=str,
)
def test_what_the_pixel_path_refuses_is_refused_everywhere(elements: dict[str, Any]) -> None:
    data = file("unsigned", **elements)

    for use in (radiograph, unwindowed, lambda data: rendered("presentation_state", data, SMALL)):
        with pytest.raises(MalformedDicom) as refusal:
            use(data)
        assert refusal.value.code == "value_invalid"


ORIENTATIONS = (r"L\F", r"l\f", r"LR\F", r"LAP\F", r"LFR\F", "L", "", r"LEFT\DOWN", None)
SPACINGS: tuple[dict[str, Any], ...] = (
    {},
    {"PixelSpacing": r"0.2\0.1"},
    {"PixelSpacing": r"0.2\0.2", "ImagerPixelSpacing": r"0.25\0.25"},
    {"PixelSpacing": r"0.2\0.2", "ImagerPixelSpacing": r"0.2\0.2"},
    {"PixelSpacing": r"0.20000001\0.1", "ImagerPixelSpacing": r"0.2\0.1"},
    {"ImagerPixelSpacing": r"0.1\0.15"},
    {"PixelAspectRatio": r"2\1", "PixelSpacing": r"wide\1", "ImagerPixelSpacing": r"nan\1"},
    {"PixelAspectRatio": r"1000\1", "PixelSpacing": r"0\0"},
    {"NominalScannedPixelSpacing": r"nan\1"},
    {"NominalScannedPixelSpacing": r"0.3\0.1"},
    {"PixelSpacing": "0.2"},
    {"PixelSpacing": r"100\0.1"},
)


@pytest.mark.parametrize(
    "elements",
    [
        *({"PatientOrientation": stated} for stated in ORIENTATIONS),
        *(spacing | {"PatientOrientation": r"R\F"} for spacing in SPACINGS),
    ],
    ids=str,
)
def test_the_pixel_grid_is_the_same_everywhere(elements: dict[str, Any]) -> None:
    data = file("unsigned", **elements)
    header, result = radiograph(data).header, unwindowed(data)
    segmentation, capture, state = (
        parsed(rendered(kind, data, SMALL)) for kind in ("segmentation", "secondary_capture", "presentation_state")
    )

    for image in (segmentation, capture):
        assert (tuple(image.PatientOrientation or ()) or None) == result.orientation
    (area,) = state.DisplayedAreaSelectionSequence
    rows, columns = area.PresentationPixelAspectRatio
    assert rows / columns == pytest.approx(result.aspect, abs=1e-3)
    assert header.aspect == result.aspect
    if result.spacing_from == "PixelSpacing":
        assert capture.PixelSpacing == pytest.approx(result.spacing)
        assert "PixelAspectRatio" not in capture
    else:
        assert "PixelSpacing" not in capture
        rows, columns = capture.get("PixelAspectRatio", (1, 1))
        assert rows / columns == pytest.approx(result.aspect, abs=1e-3)
