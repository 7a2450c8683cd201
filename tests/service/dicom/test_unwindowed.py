"""A viewer written here, from the standard and the interface's description alone, shows what `display` shows."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom import Dataset

from service.dicom.pixels import display
from service.dicom.unwindowed import Preset, Unwindowed, without_window
from service.errors import MalformedDicom
from tests.factories import chest

ROW = np.array([[0, 1, 2, 3, 4]], np.uint16)


def viewed(result: Unwindowed, preset: Preset) -> np.ndarray:
    """[H, W] in [0, 1], as the reader's page computes it."""
    value = result.slope * result.codes.astype(np.float64) + result.intercept
    center, width = preset.center, preset.width
    if preset.function == "SIGMOID":
        shown = 1 / (1 + np.exp(np.clip(-4 * (value - center) / width, -700, 700)))
    elif preset.function == "LINEAR_EXACT":
        shown = np.clip((value - center) / width + 0.5, 0, 1)
    elif width == 1:
        shown = (value > center - 0.5).astype(np.float64)
    else:
        shown = np.clip((value - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    shown = 1 - shown if result.invert else shown
    return shown if result.padding is None else np.where(result.codes == result.padding, 0, shown)


def table(first: int, bits: int, entries: list[int]) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) & 0xFFFF, first, bits])
    item.add_new("LUTData", "US", entries)
    return [item]


def result_of(stored: np.ndarray, **elements: Any) -> Unwindowed:
    return without_window(stored, chest(stored, **elements))


def values(result: Unwindowed) -> list[float]:
    return (result.slope * result.codes.astype(np.float64) + result.intercept).ravel().tolist()


# For any header the first window shows what the service shows...

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

    result = without_window(stored, dataset)

    assert result.codes.dtype == np.uint16
    assert np.abs(viewed(result, result.windows[0]) - display(stored, dataset).values).max() < 1e-6


# By hand...


def test_stored_values_without_a_rescale_are_exact():
    result = result_of(ROW + 7, WindowCenter=9, WindowWidth=5)

    assert result.codes.tolist() == [[0, 1, 2, 3, 4]]
    assert (result.slope, result.intercept, result.padding, result.invert, result.voi_lut) == (1, 7, None, False, False)


@pytest.mark.parametrize(("slope", "intercept"), [(2, -1024), (-1, 4095), (0.1, 0.5), (-0.25, 3), (1e-9, 1e9)])
def test_a_rescale_is_exact(slope, intercept):
    stored = np.array([[0, 1, 777, 4095]], np.uint16)

    result = result_of(stored, RescaleSlope=slope, RescaleIntercept=intercept)

    assert values(result) == pytest.approx([one * slope + intercept for one in (0, 1, 777, 4095)], rel=1e-12)
    assert result.slope == abs(slope)


def test_all_sixteen_bits_are_exact():
    stored = np.arange(2**16, dtype=np.uint16).reshape(256, 256)

    result = result_of(stored)

    assert (result.codes == stored).all()
    assert (result.slope, result.intercept) == (1, 0)


def test_one_value_more_than_codes_costs_half_a_step():
    """65536 values, one of them padding: 65535 codes are left for 65535 steps."""
    stored = np.delete(np.arange(2**16, dtype=np.uint16), 9)[None, :]
    stored = np.append(stored, 9).astype(np.uint16).reshape(256, 256)

    result = result_of(stored, PixelPaddingValue=9)

    image = stored != 9
    wrong = np.abs(result.slope * result.codes.astype(float) + result.intercept - stored)[image]
    assert 0 < wrong.max() <= result.slope / 2 + 1e-9
    assert result.slope == pytest.approx(65535 / 65534)
    assert (result.codes[~image] == result.padding).all()
    assert (result.codes[image] != result.padding).all()


@pytest.mark.parametrize(("photometric", "code"), [("MONOCHROME2", 0), ("MONOCHROME1", 65535)])
def test_padding_has_a_code_at_the_black_end(photometric, code):
    stored = np.array([[0, 100, 101, 102]], np.uint16)

    result = result_of(stored, PixelPaddingValue=0, PhotometricInterpretation=photometric)

    assert (result.codes == code).tolist() == [[True, False, False, False]]
    assert result.padding == code
    assert values(result)[1:] == [100, 101, 102]


def test_padding_that_does_not_occur_has_no_code():
    assert result_of(ROW, PixelPaddingValue=99).padding is None


def test_an_image_of_padding_alone_is_black():
    result = result_of(np.full((2, 2), 7, np.uint16), PixelPaddingValue=7, WindowCenter=None, WindowWidth=None)

    assert viewed(result, result.windows[0]).tolist() == [[0, 0], [0, 0]]


def test_a_voi_lut_is_applied_to_the_values():
    result = result_of(ROW, VOILUTSequence=table(0, 8, [0, 10, 20, 200, 255]), WindowCenter=2, WindowWidth=5)

    assert values(result) == [0, 10, 20, 200, 255]
    assert result.voi_lut
    assert result.windows == (Preset("full range", 127.5, 255, "LINEAR_EXACT"),)


def test_a_modality_lut_is_applied_to_the_values():
    result = result_of(ROW, ModalityLUTSequence=table(0, 16, [9, 7, 5, 3, 1]), WindowCenter=5, WindowWidth=9)

    assert values(result) == [9, 7, 5, 3, 1]
    assert not result.voi_lut


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_numbers_that_json_cannot_hold_are_refused():
    with pytest.raises(MalformedDicom) as refusal:
        result_of(ROW, RescaleSlope=1e308)
    assert refusal.value.code == "value_invalid"


# Presets...


def test_the_windows_of_the_file_come_by_name_then_the_full_range():
    result = result_of(
        ROW,
        WindowCenter=[2, 3, 1],
        WindowWidth=[4, 0, 2],
        WindowCenterWidthExplanation=["NORMAL", "NARROW", ""],
        VOILUTFunction="SIGMOID",
    )

    assert result.windows == (
        Preset("NORMAL", 2, 4, "SIGMOID"),
        Preset("window 3", 1, 2, "SIGMOID"),
        Preset("full range", 2, 4, "LINEAR_EXACT"),
    )


def test_without_a_window_there_is_the_full_range():
    without = {"WindowCenter": None, "WindowWidth": None}
    assert result_of(ROW, **without).windows == (Preset("full range", 2, 4, "LINEAR_EXACT"),)
    assert result_of(ROW.astype(np.uint8), **without).windows == (Preset("full range", 127.5, 255, "LINEAR_EXACT"),)


def test_where_the_first_window_is_invalid_the_full_range_comes_first():
    result = result_of(ROW, WindowCenter=[2, 3], WindowWidth=[0, 3])

    assert [one.name for one in result.windows] == ["full range", "window 2"]


def test_an_unknown_function_is_linear():
    assert result_of(ROW, WindowCenter=2, WindowWidth=3, VOILUTFunction="CUBIC").windows[0].function == "LINEAR"


def test_the_number_of_windows_is_bounded():
    many = [5] * 100

    assert len(result_of(ROW, WindowCenter=many, WindowWidth=many).windows) == 17


@pytest.mark.parametrize(
    ("explanation", "name"),
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
def test_a_name_is_given_only_where_it_can_identify_nobody(explanation, name):
    """It goes into an HTTP header, which is logged."""
    assert result_of(ROW, WindowCenterWidthExplanation=explanation).windows[0].name == name


# The other fields...


@pytest.mark.filterwarnings("ignore:Invalid value")
def test_geometry_and_inversion_are_those_of_the_presentation():
    result = result_of(
        ROW,
        PixelAspectRatio=["2", "1"],
        ImagerPixelSpacing=[0.2, 0.1],
        PatientOrientation=["l", "f"],
        PhotometricInterpretation="MONOCHROME1",
    )

    assert (result.aspect, result.invert, result.orientation) == (2, True, ("L", "F"))
    assert (result.spacing, result.spacing_from) == ((0.2, 0.1), "ImagerPixelSpacing")
