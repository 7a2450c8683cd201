"""A viewer written here, from the standard and the interface's words alone, must show what `display` shows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom import Dataset

from service.dicom.pixels import display
from service.dicom.unwindowed import Preset, Tones, tones
from service.errors import MalformedDicom
from tests.factories import chest

ROW = np.array([[0, 1, 2, 3, 4]], np.uint16)


def viewed(found: Tones, preset: Preset) -> np.ndarray:
    """[H, W] in [0, 1], as the reader's page computes it."""
    value = found.slope * found.codes.astype(np.float64) + found.intercept
    center, width = preset.center, preset.width
    if preset.function == "SIGMOID":
        shown = 1 / (1 + np.exp(np.clip(-4 * (value - center) / width, -700, 700)))
    elif preset.function == "LINEAR_EXACT":
        shown = np.clip((value - center) / width + 0.5, 0, 1)
    elif width == 1:
        shown = (value > center - 0.5).astype(np.float64)
    else:
        shown = np.clip((value - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    shown = 1 - shown if found.invert else shown
    return shown if found.padding is None else np.where(found.codes == found.padding, 0, shown)


def table(first: int, bits: int, entries: list[int]) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) & 0xFFFF, first, bits])
    item.add_new("LUTData", "US", entries)
    return [item]


def of(stored: np.ndarray, **elements: Any) -> Tones:
    return tones(stored, chest(stored, **elements))


def values(found: Tones) -> list[float]:
    return (found.slope * found.codes.astype(np.float64) + found.intercept).ravel().tolist()


# Whatever the file says, the first window shows what the service shows

stored_values = st.one_of(
    arrays.arrays(np.uint16, (3, 5), elements=st.integers(0, 4095)),
    arrays.arrays(np.uint16, (3, 5), elements=st.integers(0, 65535)),
    arrays.arrays(np.int16, (3, 5), elements=st.integers(-32768, 32767)),
    arrays.arrays(np.uint8, (3, 5), elements=st.integers(0, 255)),
)
windows = st.fixed_dictionaries(
    {
        "WindowCenter": st.lists(st.integers(-500, 5000), min_size=1, max_size=3),
        "WindowWidth": st.lists(st.integers(0, 9000), min_size=1, max_size=3),
        "VOILUTFunction": st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "WRONG"]),
    }
) | st.just({"WindowCenter": None, "WindowWidth": None})
rescales = st.just({}) | st.fixed_dictionaries(
    # Exact in binary: a window of width 1 is a threshold, and rounding may put a value on its other side
    {"RescaleSlope": st.sampled_from([0.25, 2, -1, 1e6, -0.375]), "RescaleIntercept": st.integers(-3000, 3000)}
)
tables = st.lists(st.integers(0, 1023), min_size=1, max_size=300).flatmap(
    lambda entries: st.sampled_from(
        [
            {},
            {"VOILUTSequence": table(5, 10, entries)},
            {"ModalityLUTSequence": table(5, 10, entries)},
            {"ModalityLUTSequence": table(0, 10, entries[::-1]), "VOILUTSequence": table(5, 10, entries)},
        ]
    )
)
polarities = st.sampled_from([{}, {"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}])
paddings = st.just({}) | st.fixed_dictionaries({"PixelPaddingValue": st.integers(0, 127)})


@given(stored_values, windows, rescales, tables, polarities, paddings)
def test_the_first_window_shows_what_the_service_shows(stored, window, rescale, lut, polarity, padding):
    dataset = chest(stored, **(window | rescale | lut | polarity | padding))

    found = tones(stored, dataset)

    assert found.codes.dtype == np.uint16
    assert np.abs(viewed(found, found.windows[0]) - display(stored, dataset).values).max() < 1e-6


# By hand...


def test_stored_values_are_their_own():
    found = of(ROW + 7, WindowCenter=9, WindowWidth=5)

    assert found.codes.tolist() == [[0, 1, 2, 3, 4]]
    assert (found.slope, found.intercept, found.padding, found.invert, found.voi_lut) == (1, 7, None, False, False)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -1024), (-1, 4095), (0.1, 0.5), (-0.25, 3), (1e-9, 1e9)])
def test_a_rescale_is_exact(slope, intercept):
    stored = np.array([[0, 1, 777, 4095]], np.uint16)

    found = of(stored, RescaleSlope=slope, RescaleIntercept=intercept)

    assert values(found) == pytest.approx([one * slope + intercept for one in (0, 1, 777, 4095)], rel=1e-12)
    assert found.slope == abs(slope)


def test_all_sixteen_bits_are_exact():
    stored = np.arange(2**16, dtype=np.uint16).reshape(256, 256)

    found = of(stored)

    assert (found.codes == stored).all()
    assert (found.slope, found.intercept) == (1, 0)


def test_one_value_more_than_there_are_codes_costs_half_a_step():
    """All 65536 values, and padding besides: 65535 codes are left for 65535 steps."""
    stored = np.delete(np.arange(2**16, dtype=np.uint16), 9)[None, :]
    stored = np.append(stored, 9).astype(np.uint16).reshape(256, 256)

    found = of(stored, PixelPaddingValue=9)

    image = stored != 9
    wrong = np.abs(found.slope * found.codes.astype(float) + found.intercept - stored)[image]
    assert 0 < wrong.max() <= found.slope / 2 + 1e-9
    assert found.slope == pytest.approx(65535 / 65534)
    assert (found.codes[~image] == found.padding).all()
    assert (found.codes[image] != found.padding).all()


@pytest.mark.parametrize(("photometric", "code"), [("MONOCHROME2", 0), ("MONOCHROME1", 65535)])
def test_padding_has_a_code_at_the_black_end(photometric, code):
    stored = np.array([[0, 100, 101, 102]], np.uint16)

    found = of(stored, PixelPaddingValue=0, PhotometricInterpretation=photometric)

    assert (found.codes == code).tolist() == [[True, False, False, False]]
    assert found.padding == code
    assert values(found)[1:] == [100, 101, 102]


def test_padding_that_does_not_occur_has_no_code():
    assert of(ROW, PixelPaddingValue=99).padding is None


def test_nothing_but_padding_is_black():
    found = of(np.full((2, 2), 7, np.uint16), PixelPaddingValue=7, WindowCenter=None, WindowWidth=None)

    assert viewed(found, found.windows[0]).tolist() == [[0, 0], [0, 0]]


def test_a_voi_lut_is_behind_the_values():
    found = of(ROW, VOILUTSequence=table(0, 8, [0, 10, 20, 200, 255]), WindowCenter=2, WindowWidth=5)

    assert values(found) == [0, 10, 20, 200, 255]
    assert found.voi_lut
    assert found.windows == (Preset("full range", 127.5, 255, "LINEAR_EXACT"),)


def test_a_modality_lut_is_behind_the_values():
    found = of(ROW, ModalityLUTSequence=table(0, 16, [9, 7, 5, 3, 1]), WindowCenter=5, WindowWidth=9)

    assert values(found) == [9, 7, 5, 3, 1]
    assert not found.voi_lut


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_numbers_that_no_document_can_hold_are_refused():
    with pytest.raises(MalformedDicom) as refusal:
        of(ROW, RescaleSlope=1e308)
    assert refusal.value.code == "value_invalid"


# Presets...


def test_the_files_windows_by_name_then_the_full_range():
    found = of(
        ROW,
        WindowCenter=[2, 3, 1],
        WindowWidth=[4, 0, 2],
        WindowCenterWidthExplanation=["NORMAL", "NARROW", ""],
        VOILUTFunction="SIGMOID",
    )

    assert found.windows == (
        Preset("NORMAL", 2, 4, "SIGMOID"),
        Preset("window 3", 1, 2, "SIGMOID"),
        Preset("full range", 2, 4, "LINEAR_EXACT"),
    )


def test_without_a_window_the_full_range():
    without = {"WindowCenter": None, "WindowWidth": None}
    assert of(ROW, **without).windows == (Preset("full range", 2, 4, "LINEAR_EXACT"),)
    assert of(ROW.astype(np.uint8), **without).windows == (Preset("full range", 127.5, 255, "LINEAR_EXACT"),)


def test_where_the_first_window_is_wrong_the_full_range_is_first():
    found = of(ROW, WindowCenter=[2, 3], WindowWidth=[0, 3])

    assert [one.name for one in found.windows] == ["full range", "window 2"]


def test_an_unknown_function_is_linear():
    assert of(ROW, WindowCenter=2, WindowWidth=3, VOILUTFunction="CUBIC").windows[0].function == "LINEAR"


def test_the_number_of_windows_is_bounded():
    many = [5] * 100

    assert len(of(ROW, WindowCenter=many, WindowWidth=many).windows) == 17


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("NORMAL", "NORMAL"),
        ("Soft Tissue 2", "Soft Tissue 2"),
        ("", "window 1"),
        ("DOE^JANE", "window 1"),
        ("NORMAL DOE", "window 1"),
        ("19420502", "window 1"),
        ("<b>NORMAL", "window 1"),
    ],
)
def test_a_name_is_told_only_where_it_is_of_nobody(said, name):
    """It goes into a header, where no word of a data set may be."""
    assert of(ROW, WindowCenterWidthExplanation=said).windows[0].name == name


# Beside the pixels...


@pytest.mark.parametrize(
    ("elements", "spacing", "says"),
    [
        ({}, None, None),
        ({"ImagerPixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.15, 0.16]}, (0.15, 0.16), "PixelSpacing"),
        ({"ImagerPixelSpacing": [0.2, 0.1], "PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "ImagerPixelSpacing"),
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), "PixelSpacing"),
        ({"NominalScannedPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), "NominalScannedPixelSpacing"),
        ({"PixelSpacing": [0, 0.1]}, None, None),
    ],
)
def test_spacing(elements, spacing, says):
    found = of(ROW, **elements)

    assert (found.spacing, found.spacing_from) == (spacing, says)


@pytest.mark.parametrize(
    ("said", "orientation"),
    [(["L", "F"], ("L", "F")), (["LH", "FP"], ("LH", "FP")), (["L"], None), (None, None), (["<B>", "F"], None)],
)
@pytest.mark.filterwarnings("ignore:Invalid value")
def test_orientation(said, orientation):
    assert of(ROW, PatientOrientation=said).orientation == orientation


def test_aspect_and_inversion():
    found = of(ROW, PixelAspectRatio=["2", "1"], PhotometricInterpretation="MONOCHROME1")

    assert (found.aspect, found.invert) == (2, True)
