import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pydicom import Dataset
from pydicom.pixels import apply_voi_lut

from service.dicom.pixels import display
from service.dicom.window import Window
from service.errors import MalformedDicom
from tests.factories import chest, ramp

ROW = np.array([[0, 1, 2, 3, 4]], np.uint16)


def shown(stored: np.ndarray, **elements) -> list[float]:
    return display(stored, chest(stored, **elements)).values.ravel().round(6).tolist()


def flags(stored: np.ndarray = ROW, **elements) -> tuple[str, ...]:
    return display(stored, chest(stored, **elements)).presentation.flags


def lut(first: int, bits: int, entries: list[int]) -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries), first, bits])
    item.add_new("LUTData", "US", entries)
    return [item]


# Windows...


functions = st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])


@given(
    arrays.arrays(np.uint16, (3, 7), elements=st.integers(0, 4095)),
    st.integers(-500, 5000),
    st.integers(1, 9000),
    functions,
)
def test_windows_agree_with_pydicom(stored, centre, width, function):
    dataset = chest(stored, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    with np.errstate(over="ignore"):
        oracle = apply_voi_lut(stored, dataset) / 4095  # pydicom's outputs reach over the stored bits
    assume(np.ptp(stored) == 0 or (oracle.max() > 0.01 and oracle.min() < 0.99))  # else the window is beside the pixels
    assert np.allclose(display(stored, dataset).values, oracle, atol=1e-6)


def test_the_first_of_several_windows_is_used():
    assert shown(ROW, WindowCenter=[2.5, 900], WindowWidth=[5, 10]) == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize(("width", "function"), [(0, "LINEAR"), (0.5, "LINEAR"), (-7, "LINEAR"), (0, "SIGMOID")])
def test_an_invalid_window_gives_way_to_the_full_range(width, function):
    elements = {"WindowCenter": 2, "WindowWidth": width, "VOILUTFunction": function}
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("window_width_invalid",)


def test_an_unknown_function_counts_as_linear():
    elements = {"WindowCenter": 2.5, "WindowWidth": 5, "VOILUTFunction": "CUBIC"}
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("voi_function_unknown",)


def test_the_window_of_an_unknown_function_is_as_wide_as_a_linear_one():
    """PS3.3 C.11.2.1.2.1: at least 1."""
    elements = {"WindowCenter": 2, "WindowWidth": 0.5, "VOILUTFunction": "CUBIC"}
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("voi_function_unknown", "window_width_invalid")


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": -10, "WindowWidth": 10},
        {"WindowCenter": 3000, "WindowWidth": 10},
        {"WindowCenter": -10, "WindowWidth": 1},
        {"WindowCenter": -10, "WindowWidth": 10, "VOILUTFunction": "LINEAR_EXACT"},
        {"WindowCenter": 300, "WindowWidth": 10, "VOILUTFunction": "SIGMOID"},
        {"WindowCenter": [-10, 2], "WindowWidth": [10, 5]},
    ],
    ids=str,
)
def test_a_window_beside_every_pixel_gives_way_to_the_full_range(elements):
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("window_unusable",)


def test_a_window_that_shows_one_pixel_is_kept():
    assert shown(ROW, WindowCenter=6.5, WindowWidth=7) == pytest.approx([0, 0, 0, 0, 1 / 6], abs=1e-6)
    assert flags(WindowCenter=6.5, WindowWidth=7) == ()


def test_a_window_that_a_client_names_is_used_as_it_is():
    assert display(ROW, chest(ROW), Window(-10, 10, "LINEAR")).values.tolist() == [[1] * 5]


@pytest.mark.parametrize(
    ("stored", "elements", "blank"),
    [
        (ROW, {"WindowCenter": 2.5, "WindowWidth": 5}, False),
        (ROW, {"WindowCenter": -10, "WindowWidth": 10}, False),
        (ROW, {}, True),  # greys of 0 to 4 / 4095
        (np.zeros((2, 3), np.uint16), {}, True),
        (np.full((2, 3), 2000, np.uint16), {}, True),
        (np.full((2, 3), 200, np.uint8), {}, True),
        (np.array([[200, 201]], np.uint8), {}, False),
        (np.array([[4000, 7, 7]], np.uint16), {"PixelPaddingValue": 4000}, True),
        (np.array([[4000, 4000]], np.uint16), {"PixelPaddingValue": 4000}, True),
    ],
)
def test_an_image_of_one_grey_is_blank(stored, elements, blank):
    assert display(stored, chest(stored, **elements)).blank == blank


@pytest.mark.parametrize("entries", [[9, 9, 9, 9, 9], [200]])
def test_an_image_is_blank_where_a_voi_lut_maps_all_to_one_grey(entries):
    assert display(ROW, chest(ROW, VOILUTSequence=lut(0, 8, entries))).blank


# No window...

NO_WINDOW = {"WindowCenter": None, "WindowWidth": None, "VOILUTFunction": None}


def test_eight_bits_without_window_are_display_values_already():
    stored = ramp(5, 7, 8) // 2
    assert np.array_equal(display(stored, chest(stored)).values, stored / np.float32(255))
    assert flags(stored) == ()


def test_more_bits_without_window_are_stretched():
    stored = np.array([[100, 200, 300]], np.uint16)
    assert shown(stored, **NO_WINDOW) == [0, 0.5, 1]
    assert flags(stored, **NO_WINDOW) == ("window_missing",)


def test_eight_bits_rescaled_are_stretched():
    stored = np.array([[10, 20, 30]], np.uint8)
    assert shown(stored, RescaleSlope=2, RescaleIntercept=0) == [0, 0.5, 1]


def test_a_flat_image_without_window_is_black():
    assert shown(np.full((1, 3), 900, np.uint16), **NO_WINDOW) == [0, 0, 0]


# Padding...


def test_padding_is_black_and_not_part_of_the_range():
    stored = np.array([[4000, 100, 200, 300]], np.uint16)
    assert shown(stored, PixelPaddingValue=4000, **NO_WINDOW) == [0, 0, 0.5, 1]


def test_a_padding_range_may_be_in_either_order():
    stored = np.array([[4000, 3990, 100, 200, 300]], np.uint16)
    for pair in ((3990, 4000), (4000, 3990)):
        elements = {"PixelPaddingValue": pair[0], "PixelPaddingRangeLimit": pair[1], **NO_WINDOW}
        assert shown(stored, **elements) == [0, 0, 0, 0.5, 1]


def test_padding_is_black_where_low_is_white():
    stored = np.array([[0, 0, 2, 4]], np.uint16)
    elements = {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1", **NO_WINDOW}
    assert shown(stored, **elements) == [0, 0, 1, 0]


def test_padding_below_zero():
    stored = np.array([[-2000, 0, 10]], np.int16)
    assert shown(stored, PixelPaddingValue=-2000, **NO_WINDOW) == [0, 0, 1]
    dataset = chest(stored, **NO_WINDOW)
    dataset.add_new("PixelPaddingValue", "US", 2**16 - 2000)  # without its sign
    assert display(stored, dataset).values.tolist() == [[0, 0, 1]]


def test_an_image_of_padding_alone_is_black():
    stored = np.full((2, 2), 7, np.uint16)
    assert shown(stored, PixelPaddingValue=7, **NO_WINDOW) == [0, 0, 0, 0]


# Modality LUT...


def test_rescale_before_window():
    assert shown(ROW, RescaleSlope=10, RescaleIntercept=-20, WindowCenter=0, WindowWidth=41) == pytest.approx(
        [0.0125, 0.2625, 0.5125, 0.7625, 1], abs=1e-6
    )


def test_an_intercept_needs_no_slope():
    assert shown(ROW, RescaleIntercept=10, WindowCenter=12.5, WindowWidth=5) == [0, 0.25, 0.5, 0.75, 1]


def test_a_negative_slope_inverts_the_greys():
    assert shown(ROW, RescaleSlope=-1, RescaleIntercept=4, **NO_WINDOW) == [1, 0.75, 0.5, 0.25, 0]


def test_modality_lut_before_window():
    elements = {"ModalityLUTSequence": lut(1, 16, [40, 20, 0]), "RescaleSlope": 5, **NO_WINDOW}
    assert shown(ROW, **elements) == [1, 1, 0.5, 0, 0]


def test_slope_zero_is_malformed():
    with pytest.raises(MalformedDicom):
        shown(ROW, RescaleSlope=0, RescaleIntercept=0)


# VOI LUT...


def test_voi_lut_wins_over_window():
    elements = {"VOILUTSequence": lut(0, 8, [0, 51, 51, 0, 255]), "WindowCenter": 2, "WindowWidth": 1}
    assert shown(ROW, **elements) == pytest.approx([0, 0.2, 0.2, 0, 1], abs=1e-6)


def test_the_first_value_of_a_voi_lut_on_signed_pixels_may_be_written_without_its_sign():
    stored = np.array([[-12, -10, -9, 9, 12]], np.int16)
    entries = list(range(0, 200, 10))  # of -10 to 9
    expected = [0, 0, 10 / 255, 190 / 255, 190 / 255]
    assert shown(stored, VOILUTSequence=lut(65526, 8, entries)) == pytest.approx(expected, abs=1e-6)


def test_voi_lut_agrees_with_pydicom():
    stored, table = ramp(20, 20, 12), np.sort(np.random.default_rng(1).integers(0, 1024, 4096)).tolist()
    dataset = chest(stored, VOILUTSequence=lut(0, 10, table))
    oracle = apply_voi_lut(stored, dataset, prefer_lut=True) / 1023
    assert np.allclose(display(stored, dataset).values, oracle, atol=1e-6)


UNUSABLE = {
    "no data": [Dataset()],
    "no bits": lut(0, 0, [1, 2]),
    "too many bits": lut(0, 17, [1, 2]),
    "fewer entries than stated": lut(0, 8, [1, 2, 3]),
}
UNUSABLE["fewer entries than stated"][0].LUTDescriptor[0] = 100


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_voi_lut_gives_way_to_the_window(fault):
    elements = {"VOILUTSequence": UNUSABLE[fault], "WindowCenter": 2.5, "WindowWidth": 5}
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("voi_lut_unusable",)


def test_an_unusable_voi_lut_without_a_window_gives_way_to_the_full_range():
    elements = {"VOILUTSequence": UNUSABLE["no data"], **NO_WINDOW}
    assert shown(ROW, **elements) == [0, 0.25, 0.5, 0.75, 1]
    assert flags(**elements) == ("voi_lut_unusable", "window_missing")


# Polarity: exactly one inversion...


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "raised"),
    [
        ("MONOCHROME2", None, False, ()),
        ("MONOCHROME2", "IDENTITY", False, ()),
        ("MONOCHROME2", "INVERSE", True, ("polarity_conflict",)),
        ("MONOCHROME1", None, True, ()),
        ("MONOCHROME1", "INVERSE", True, ()),
        ("MONOCHROME1", "IDENTITY", False, ("polarity_conflict",)),
        ("MONOCHROME1", "LIN OD", True, ()),
    ],
)
def test_polarity(photometric, shape, inverted, raised):
    elements = {"PhotometricInterpretation": photometric, "PresentationLUTShape": shape}
    elements |= {"WindowCenter": 2.5, "WindowWidth": 5}
    ascending = [0, 0.25, 0.5, 0.75, 1]
    assert shown(ROW, **elements) == (ascending[::-1] if inverted else ascending)
    assert flags(**elements) == raised


@given(arrays.arrays(np.uint16, (4, 5), elements=st.integers(0, 4095)))
def test_inverted_pixels_with_inverted_polarity_look_the_same(stored):
    plain = display(stored, chest(stored)).values
    turned = display(4095 - stored, chest(4095 - stored, PhotometricInterpretation="MONOCHROME1")).values
    assert np.allclose(plain, turned, atol=1e-6)


# Signs and depths...


def test_signed_values():
    stored = np.array([[-32768, 0, 32767]], np.int16)
    assert shown(stored, **NO_WINDOW) == pytest.approx([0, 0.500008, 1], abs=1e-6)


@given(arrays.arrays(np.uint8, (6, 6)))
def test_eight_and_twelve_bits_show_the_same(eight):
    twelve = np.rint(eight / 255 * 4095).astype(np.uint16)
    difference = display(eight, chest(eight)).values - display(twelve, chest(twelve)).values
    assert np.abs(difference).max() < 1 / 255 / 8


def test_result_is_float32_in_range():
    values = display(ramp(30, 40), chest(ramp(30, 40), WindowCenter=900, WindowWidth=300)).values
    assert (values.dtype, values.shape) == (np.float32, (30, 40))
    assert (values.min(), values.max()) == (0, 1)


# Aspect...


@pytest.mark.parametrize(("ratio", "raised"), [([2, 1], ("pixels_not_square",)), ([201, 200], ()), ([1, 1], ())])
def test_pixels_that_are_not_square_are_flagged(ratio, raised):
    assert flags(PixelAspectRatio=ratio) == raised
