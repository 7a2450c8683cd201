import hashlib
import json
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from service.dicom.radiograph import display_values, radiograph, shows_the_same, unwindowed
from service.dicom.reader import Bounds
from service.errors import MalformedDicom, TriageError, UnsuitableImage
from tests.factories import INSTANCE, SERIES, STUDY, chest, compressed, dicom_bytes, encode, noise, ramp

PIXELS = ramp(256, 300)


def test_header_and_values():
    result = radiograph(dicom_bytes(PIXELS, ViewPosition=None, ImagerPixelSpacing=[0.3, 0.2]))
    header = result.header
    assert (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid) == (STUDY, SERIES, INSTANCE)
    assert header.accession_number == "A1"
    assert header.flags == ("view_position_missing", "low_resolution", "pixels_not_square")
    assert (header.height, header.width, header.aspect) == (256, 300, pytest.approx(1.5))
    assert list(header.timings_ms) == ["read", "decode", "prepare"]
    assert min(header.timings_ms.values()) >= 0
    assert np.allclose(result.values, PIXELS / 4095, atol=1e-6)
    assert "canary" not in repr(header).lower()


def test_the_hash_is_that_of_shape_stored_values_and_greys():
    header = radiograph(dicom_bytes(PIXELS)).header
    greys = display_values(dicom_bytes(np.arange(4096, dtype=np.uint16).reshape(64, 64)))
    expected = b"256x300 u2\n" + PIXELS.astype("<u2").tobytes() + greys.reshape(-1)[: PIXELS.max() + 1].tobytes()
    assert PIXELS.min() == 0
    assert header.display_sha256 == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize(
    "elements",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"WindowCenter": 2000, "WindowWidth": 4095},
        {"RescaleSlope": 1, "RescaleIntercept": 1},
        {"PixelPaddingValue": int(PIXELS[100, 100])},
        {
            "ShutterShape": "RECTANGULAR",
            **dict.fromkeys(("ShutterLeftVerticalEdge", "ShutterUpperHorizontalEdge"), 2),
            **dict.fromkeys(("ShutterRightVerticalEdge", "ShutterLowerHorizontalEdge"), 250),
        },
    ],
)
def test_the_hash_depends_on_all_that_changes_the_display_values(elements):
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain, other = dicom_bytes(PIXELS, **window), dicom_bytes(PIXELS, **window | elements)
    assert not np.array_equal(display_values(plain), display_values(other))
    assert radiograph(plain).header.display_sha256 != radiograph(other).header.display_sha256


def test_what_changes_no_display_value_changes_no_hash():
    plain, other = dicom_bytes(PIXELS), dicom_bytes(PIXELS, PatientName="Another", WindowCenterWidthExplanation="X")
    assert radiograph(plain).header.display_sha256 == radiograph(other).header.display_sha256


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_an_image_has_one_hash_in_every_syntax(syntax):
    dataset = chest(noise(256, 256))
    expected = radiograph(encode(dataset)).header.display_sha256
    assert radiograph(compressed(dataset, syntax)).header.display_sha256 == expected
    for native in (ImplicitVRLittleEndian, ExplicitVRBigEndian):
        assert radiograph(encode(dataset, native)).header.display_sha256 == expected


@pytest.mark.filterwarnings("ignore:Invalid value for VR", "ignore:The value length")
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize(
    ("uid", "code"),
    [
        (None, "uid_missing"),
        ("", "uid_missing"),
        ("1.0x2.3", "uid_invalid"),
        ("1..3", "uid_invalid"),
        ("1.2.", "uid_invalid"),
        ("1", "uid_invalid"),
        ("../../etc", "uid_invalid"),
        ("1." + "2" * 63, "uid_invalid"),
    ],
)
def test_uids(keyword, uid, code):
    with pytest.raises(MalformedDicom) as refusal:
        radiograph(dicom_bytes(PIXELS, **{keyword: uid}))
    assert refusal.value.code == code


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
@pytest.mark.parametrize(
    ("uid", "flags"), [("1.02.3", ("uid_leading_zero",)), ("01.2", ("uid_leading_zero",)), ("1.0.3", ())]
)
def test_a_uid_with_leading_zeros_is_taken_with_a_flag(keyword, uid, flags):
    header = radiograph(dicom_bytes(ramp(512, 512), **{keyword: uid})).header
    assert uid in (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
    assert header.flags == flags


def test_data_after_the_file_are_flagged():
    assert radiograph(dicom_bytes(ramp(512, 512)) + b"\r\n--boundary--").header.flags == ("trailing_data",)


@pytest.mark.parametrize("grey", [0, 2000, 4095])
def test_an_image_of_one_grey_is_refused(grey):
    with pytest.raises(UnsuitableImage) as refusal:
        radiograph(dicom_bytes(np.full((256, 300), grey, np.uint16)))
    assert [reason.code for reason in refusal.value.reasons] == ["image_blank"]


@pytest.mark.parametrize("elements", [{"ViewPosition": "LL"}, {}])
def test_a_stored_file_is_shown_whatever_the_gate_says_today(elements):
    """It was accepted under the rules of its time: the record of it must stay readable."""
    pixels = np.full((256, 300), 2000, np.uint16) if not elements else PIXELS
    data = dicom_bytes(pixels, **elements)
    with pytest.raises(UnsuitableImage):
        radiograph(data)
    values = display_values(data)
    assert values.shape == unwindowed(data).codes.shape == (256, 300)


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_files_are_compared_by_their_display_values():
    window = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    other = dicom_bytes(
        PIXELS.astype(np.int16) - 2048, PixelRepresentation=1, RescaleIntercept=2048, RescaleSlope=1, **window
    )
    assert shows_the_same(dicom_bytes(PIXELS, **window), Bounds(), other)
    assert not shows_the_same(dicom_bytes(PIXELS, **window | {"WindowCenter": 2049}), Bounds(), other)


def test_an_unexpected_error_is_one_of_the_file(monkeypatch):
    def broken(*_: object) -> None:
        raise RuntimeError("Canary")

    monkeypatch.setattr("service.dicom.radiograph.accept", broken)
    with pytest.raises(MalformedDicom) as refusal:
        radiograph(dicom_bytes(PIXELS))
    assert refusal.value.code == "value_invalid"
    assert "Canary" not in refusal.value.message


def test_running_out_of_memory_is_an_error_of_the_file(monkeypatch):
    def greedy(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("service.dicom.radiograph.decode", greedy)
    with pytest.raises(MalformedDicom) as refusal:
        radiograph(dicom_bytes(PIXELS))
    assert refusal.value.code == "decoder_failed"


# Hostile bytes: a result or a TriageError, nothing else...

SMALL = chest(noise(256, 256, 8), VOILUTSequence=None)
FILES = {
    "native": encode(SMALL),
    "implicit": encode(SMALL, ImplicitVRLittleEndian),
    "big endian": encode(SMALL, ExplicitVRBigEndian),
    "deflated": encode(SMALL, "1.2.840.10008.1.2.1.99"),
    "rle": compressed(SMALL, RLELossless),
    "jpeg-ls": compressed(SMALL, JPEGLSLossless),
    "jpeg 2000": compressed(SMALL, JPEG2000Lossless),
}
BOUNDS = Bounds(max_pixels=2**18)


def survives(data: bytes) -> None:
    with suppress(TriageError):
        result = unwindowed(data, BOUNDS)
        assert json.dumps(
            [result.slope, result.intercept, result.aspect, result.spacing, [vars(one) for one in result.windows]],
            allow_nan=False,
        )
    try:
        values = radiograph(data, BOUNDS).values
    except TriageError as error:
        refusal = error
    else:
        refusal = None
        assert values.dtype == np.float32
        assert values.min() >= 0
        assert values.max() <= 1
    assert refusal is None or (refusal.code and "canary" not in refusal.message.lower())


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_anywhere_is_refused(name):
    for size in range(0, len(FILES[name]), max(101, len(FILES[name]) // 300)):
        with pytest.raises(TriageError):
            radiograph(FILES[name][:size], BOUNDS)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_changed_bytes_in_the_header_give_a_result_or_an_error(name, changes):
    data = bytearray(FILES[name])
    for position, value in changes:
        data[position % len(data)] = value
    survives(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_changed_bytes_anywhere_give_a_result_or_an_error(name, data):
    changed = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 20))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    survives(bytes(changed))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_after_a_valid_start_give_a_result_or_an_error(tail):
    survives(FILES["native"][:600] + tail)
    survives(bytes(128) + b"DICM" + tail)
    survives(b"\x08\x00" + tail)
