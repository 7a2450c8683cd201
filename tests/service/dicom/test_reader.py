import re
import zlib
from time import process_time

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from service.dicom import reader, structure
from service.dicom.decoder import decode
from service.dicom.element_header import read_header
from service.dicom.reader import Bounds, part10, read, read_with_flags
from service.errors import MalformedDicom, TooLarge
from tests.factories import chest, compressed, dicom_bytes, encode, ramp

SMALL = ramp(16, 20)


DEFAULT = Bounds()


def code_of(data: bytes, bounds: Bounds = DEFAULT) -> str:
    with pytest.raises((MalformedDicom, TooLarge)) as refusal:
        read(data, bounds)
    return refusal.value.code


def bare(data: bytes) -> bytes:
    """Without preamble and file meta information."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]


@pytest.mark.parametrize("syntax", [*NATIVE, DeflatedExplicitVRLittleEndian])
def test_every_native_syntax(syntax):
    dataset = read(encode(chest(SMALL), syntax))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.Rows == 16
    assert dataset.PatientID == "CANARY-17"


@pytest.mark.parametrize("syntax", NATIVE)
def test_without_a_part_10_header(syntax):
    dataset = read(bare(encode(chest(SMALL), syntax)))
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.Columns == 20


def test_without_preamble_but_with_meta():
    assert read(dicom_bytes(SMALL)[132:]).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian


def test_an_encoding_other_than_declared_is_detected():
    data, plain = dicom_bytes(SMALL), encode(chest(SMALL), ImplicitVRLittleEndian)
    assert read(data[: len(data) - len(bare(data))] + bare(plain)).Rows == 16


@pytest.mark.parametrize("preamble", [bytes(128), b"II*\0".ljust(128, b"\0"), b"any".ljust(128, b" ")])
def test_a_preamble_may_hold_anything(preamble):
    assert read(preamble + dicom_bytes(SMALL)[128:]).Rows == 16


@pytest.mark.parametrize("start", [b"MZ", b"\x7fELF"])
def test_preamble_that_is_a_program(start):
    data = dicom_bytes(SMALL)
    assert code_of(start + data[len(start) :]) == "not_dicom"


@pytest.mark.parametrize("data", [b"", b"DICM", b"hello world, this is text", b"\x89PNG\r\n\x1a\n" * 40, bytes(1000)])
def test_bytes_that_are_not_dicom(data):
    assert code_of(data) == "not_dicom"


@pytest.mark.parametrize(
    ("data", "beginning"),
    [
        (
            b"\x89PNG\r\n\x1a\n" + bytes(200),
            "This is a PNG picture, not DICOM; export the radiograph from the archive as a DICOM file, or try",
        ),
        (b"\xff\xd8\xff\xe0" + bytes(200), "This is a JPEG picture, not DICOM; "),
        (b"II*\0" + bytes(200), "This is a TIFF picture, not DICOM; "),
        (b"PK\x03\x04" + bytes(200), "This is a ZIP archive, not DICOM; unpack it"),
        (b"%PDF-1.7" + bytes(200), "This is a PDF file, not DICOM; "),
        (b"", "This file is empty, not DICOM; "),
        (b"hello world" * 20, "This is not DICOM: "),
    ],
)
def test_a_file_that_is_not_dicom_is_called_what_it_is(data, beginning):
    with pytest.raises(MalformedDicom, match=f"^{re.escape(beginning)}"):
        read(data)


def test_meta_alone_is_truncated():
    data = dicom_bytes(SMALL)
    assert code_of(data[: len(data) - len(bare(data))]) == "truncated"


@pytest.mark.parametrize("syntax", [*NATIVE, DeflatedExplicitVRLittleEndian])
def test_a_file_cut_anywhere_is_truncated(syntax):
    data = encode(chest(SMALL), syntax)
    codes = {code_of(data[:size]) for size in range(0, len(data) - 1, 7)}
    assert codes <= {"not_dicom", "truncated", "pixel_data_missing"}
    assert "truncated" in codes


def test_a_compressed_file_cut_anywhere_is_truncated():
    data = compressed(chest(SMALL), RLELossless)
    assert {code_of(data[:size]) for size in range(400, len(data) - 1, 7)} <= {"truncated", "pixel_data_missing"}


def test_native_pixel_data_shorter_than_the_image():
    assert code_of(dicom_bytes(SMALL, PixelData=SMALL.tobytes()[:-2])) == "truncated"
    assert code_of(dicom_bytes(SMALL, NumberOfFrames=2)) == "truncated"


def test_trailing_zeros_are_padding():
    assert read(dicom_bytes(SMALL) + bytes(512)).Rows == 16


def test_a_file_without_an_image_is_refused():
    assert code_of(dicom_bytes(SMALL, PixelData=None)) == "pixel_data_missing"
    assert code_of(dicom_bytes(SMALL, PixelData=b"")) == "pixel_data_missing"


@pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated"])
def test_an_element_that_an_image_requires(keyword):
    assert code_of(dicom_bytes(SMALL, **{keyword: None})) == "element_missing"


def test_an_image_without_rows_is_refused():
    assert code_of(dicom_bytes(SMALL, Rows=0)) == "value_invalid"


def test_bytes_are_bounded():
    data = dicom_bytes(SMALL)
    assert read(data, Bounds(max_file_bytes=len(data))).Rows == 16
    assert code_of(data, Bounds(max_file_bytes=len(data) - 1)) == "file_too_large"


def test_pixels_are_bounded():
    assert read(dicom_bytes(SMALL), Bounds(max_pixels=320)).Rows == 16
    assert code_of(dicom_bytes(SMALL), Bounds(max_pixels=319)) == "image_too_large"


def test_a_run_length_bomb_is_refused_before_decoding():
    dataset = chest(ramp(64, 64))
    data = compressed(dataset, RLELossless)
    rows, columns = (chest(SMALL)[key].tag for key in ("Rows", "Columns"))
    for tag in (rows, columns):
        head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + b"US\2\0"
        data = data.replace(head + (64).to_bytes(2, "little"), head + (60000).to_bytes(2, "little"))
    assert code_of(data) == "image_too_large"


def test_a_deflate_bomb_is_refused_while_inflating():
    head = encode(chest(SMALL), DeflatedExplicitVRLittleEndian)
    head = head[: len(head) - len(bare(head))]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = b"".join(packer.compress(bytes(2**20)) for _ in range(64)) + packer.flush()
    assert len(bomb) < 2**17
    assert code_of(head + bomb, Bounds(max_file_bytes=2**20)) == "inflated_too_large"


def test_nesting_is_bounded():
    inner = Dataset()
    inner.Modality = "DX"
    for _ in range(40):
        outer = Dataset()
        outer.ReferencedImageSequence = [inner]
        inner = outer
    assert code_of(dicom_bytes(SMALL, ReferencedImageSequence=[inner])) == "too_deep"
    assert read(dicom_bytes(SMALL, ReferencedImageSequence=[inner]), Bounds(max_depth=50)).Rows == 16


def test_two_thousand_nested_sequences():
    data = bare(dicom_bytes(SMALL))
    opened = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 2000
    assert code_of(data[:8] + b"1\0" + opened if data[4:6] != b"CS" else data[: 8 + data[6]] + opened) == "too_deep"


def test_elements_are_counted():
    assert code_of(dicom_bytes(SMALL), Bounds(max_elements=10)) == "too_many_elements"


def test_49_000_empty_items_are_refused_after_5_000_and_never_parsed(monkeypatch):
    """They took pydicom 7 to 22 seconds; the work is counted in headers that are read."""
    headers = []

    def count(*arguments):
        headers.append(arguments[1])
        return read_header(*arguments)

    monkeypatch.setattr(structure, "read_header", count)
    monkeypatch.setattr(reader, "read_dataset", lambda *arguments, **options: meta_only(arguments, options))
    item = b"\xfe\xff\x00\xe0\0\0\0\0"
    sequence = b"\x40\x00\x30\xa7SQ\0\0" + (49_000 * len(item)).to_bytes(4, "little") + 49_000 * item
    pixels = dicom_bytes(SMALL).index(b"\xe0\x7f\x10\0")
    assert code_of(dicom_bytes(SMALL)[:pixels] + sequence + dicom_bytes(SMALL)[pixels:]) == "too_many_elements"
    assert len(headers) < DEFAULT.max_items + 100


def meta_only(arguments, options):
    assert options["bytelength"] < 1000, "a file that is refused was parsed"
    return read_dataset(*arguments, **options)


def test_the_items_that_are_allowed_are_parsed_within_a_second():
    items = [Dataset() for _ in range(DEFAULT.max_items)]
    data = dicom_bytes(SMALL, ReferencedImageSequence=items)
    start = process_time()
    assert len(read(data).ReferencedImageSequence) == DEFAULT.max_items
    assert process_time() - start < 1


def with_second_meta(syntax: str) -> bytes:
    """A file whose data set begins with another group 0002."""
    data = dicom_bytes(SMALL)
    start = len(data) - len(bare(data))
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    return data[:start] + b"\2\0\x10\0UI" + len(value).to_bytes(2, "little") + value + data[start:]


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99"])
def test_the_first_file_meta_information_counts(syntax):
    dataset = read(with_second_meta(syntax))
    assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert dataset.Rows == 16
    assert part10(with_second_meta(syntax), DEFAULT).transfer_syntax == ExplicitVRLittleEndian


@pytest.mark.parametrize("length", [0, 1, 9, 2**32 - 1])
def test_a_wrong_length_of_the_file_meta_information_does_not_matter(length):
    data = dicom_bytes(SMALL)
    assert data[132:138] == b"\2\0\0\0UL"
    assert read(data[:140] + length.to_bytes(4, "little") + data[144:]).Rows == 16
    assert read(data[:132] + data[144:]).Rows == 16


@pytest.mark.parametrize(("declared", "true"), [(NATIVE[1], NATIVE[2]), (NATIVE[2], NATIVE[1]), (NATIVE[2], NATIVE[0])])
def test_a_byte_order_other_than_declared_is_detected(declared, true):
    head, body = encode(chest(SMALL), declared), bare(encode(chest(SMALL), true))
    dataset = read(head[: len(head) - len(bare(head))] + body)
    assert dataset.file_meta.TransferSyntaxUID == true
    assert decode(dataset).tolist() == SMALL.tolist()


def test_a_private_vr_that_is_none_is_read():
    data = dicom_bytes(SMALL)
    place = data.index(b"\x28\0\x02\0US")
    odd = b"\x21\0\x10\0LO\4\0PRIV" + b"\x21\0\1\x10??\4\0ABCD"
    dataset = read(data[:place] + odd + data[place:])
    assert dataset[0x00211001].value == "ABCD"
    assert decode(dataset).tolist() == SMALL.tolist()


def test_data_after_the_pixel_data_are_ignored_with_a_flag():
    plain = read_with_flags(dicom_bytes(SMALL), DEFAULT)
    reading = read_with_flags(dicom_bytes(SMALL) + b"\r\n--boundary--", DEFAULT)
    assert (plain.flags, reading.flags) == ((), ("trailing_data",))
    assert reading.dataset.PixelData == plain.dataset.PixelData


@pytest.mark.parametrize("photometric", ["monochrome2", "Monochrome2 ", "MONOCHROME2\0"])
def test_the_photometric_interpretation_is_given_in_capitals(photometric):
    data = dicom_bytes(SMALL)
    old = b"\x28\0\4\0CS\x0c\0MONOCHROME2 "
    assert old in data
    dataset = read(data.replace(old, old[:8] + photometric.encode().ljust(12)))
    assert decode(dataset).tolist() == SMALL.tolist()


def test_an_image_without_samples_per_pixel_has_one():
    dataset = read(dicom_bytes(SMALL, SamplesPerPixel=None))
    assert dataset.SamplesPerPixel == 1
    assert decode(dataset).tolist() == SMALL.tolist()
    assert "SamplesPerPixel" not in read(dicom_bytes(SMALL, SamplesPerPixel=None, PhotometricInterpretation=None))


def test_messages_hold_nothing_of_the_patient():
    for bounds in (Bounds(max_elements=10), Bounds(max_pixels=1), Bounds(max_file_bytes=5)):
        with pytest.raises((MalformedDicom, TooLarge)) as refusal:
            read(dicom_bytes(SMALL), bounds)
        assert "CANARY" not in refusal.value.message.upper()


def test_parsing_does_not_change_pixels():
    dataset = read(dicom_bytes(SMALL))
    assert np.array_equal(np.frombuffer(dataset.PixelData, "<u2").reshape(16, 20), SMALL)
