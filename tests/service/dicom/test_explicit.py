"""Data sets written in Explicit VR Little Endian, against pydicom and, byte by byte, DCMTK."""

import shutil
import subprocess
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from service.dicom.explicit import encode_explicit, part10_explicit
from service.dicom.reader import Bounds, parse_encoded
from tests.factories import chest, encode, ramp

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def rich(signed: bool = False) -> Dataset:
    """Return a radiograph with values of every kind; US or SS, and nested sequences, are the difficult ones."""
    pixels = ramp(16, 17)
    table = Dataset()
    table.add_new("LUTDescriptor", "SS" if signed else "US", [4, 3, 12])
    table.add_new("LUTData", "OW", np.array([0, 258, 4000, 4095], "<u2").tobytes())
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-10214", "SRT", "posteroanterior"
    view = Dataset()
    view.CodeValue, view.ViewModifierCodeSequence = "R-10206", [code, Dataset()]
    return chest(
        pixels.view(np.int16) if signed else pixels,
        BitsStored=12,
        SpecificCharacterSet=["", "ISO 2022 IR 87"],
        PatientName="Yamada^Tarou=山田^太郎",
        SmallestImagePixelValue=-4 if signed else 4,
        ModalityLUTSequence=[table],
        ViewCodeSequence=[view],
        FrameIncrementPointer=0x00181063,
        TubeAngle=1.25,
        PatientComments="two\r\nlines",
        SimpleFrameList=[1, 70000],
    )


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_value_is_kept(syntax: str, signed: bool) -> None:
    written = part10_explicit(parse_encoded(encode(rich(signed), syntax), Bounds()), ExplicitVRLittleEndian)

    result = dcmread(BytesIO(written))
    words = result["ModalityLUTSequence"][0]["LUTData"]
    assert result.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert result.original_encoding == (False, True)
    assert ("SS" if signed else "US") == result["SmallestImagePixelValue"].VR
    expected = dcmread(BytesIO(encode(rich(signed))))
    if syntax == ExplicitVRBigEndian:  # pydicom writes OW as it is; the factory swaps the pixels alone
        assert words.value == np.array([0, 258, 4000, 4095], ">u2").tobytes()
        words.value = expected["ModalityLUTSequence"][0].LUTData
    assert [element for element in result if element != expected.get(element.tag)] == []
    assert result.keys() == expected.keys()


def test_an_element_of_a_repeating_group_gets_the_vr_of_the_dictionary() -> None:
    overlaid = rich()
    overlaid.add_new(0x60003000, "OW", bytes(2))

    written = part10_explicit(parse_encoded(encode(overlaid, ImplicitVRLittleEndian), Bounds()), ExplicitVRLittleEndian)

    assert dcmread(BytesIO(written))[0x60003000].VR == "OW"


@pytest.mark.skipif(shutil.which("dcmconv") is None, reason="DCMTK is not installed")
@pytest.mark.parametrize(
    ("option", "signed"),
    [
        *((option, False) for option in ("+ti", "+te", "+tb", "+td")),
        *((option, True) for option in ("+te", "+tb", "+td")),  # from implicit VR, DCMTK makes every descriptor US
    ],
)
def test_the_bytes_are_those_of_dcmtk(option: str, signed: bool, tmp_path: Path) -> None:
    source, other, back = tmp_path / "in.dcm", tmp_path / "other.dcm", tmp_path / "back.dcm"
    source.write_bytes(encode(rich(signed)))
    for command in (["dcmconv", option, source, other], ["dcmconv", "+te", other, back]):
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    written = encode_explicit(parse_encoded(other.read_bytes(), Bounds()))

    assert back.read_bytes().endswith(written)
    assert written.startswith(b"\x08\x00\x05\x00CS")


def test_bytes_of_a_text_that_do_not_fit_its_character_set_are_kept() -> None:
    dataset = chest(ramp(8, 8), SpecificCharacterSet="ISO_IR 192", PatientName="Canary^XXXX")
    data = encode(dataset, ImplicitVRLittleEndian).replace(b"XXXX", b"\xff\xfe\xf8\x80")

    assert b"PN\x0c\x00Canary^\xff\xfe\xf8\x80 " in encode_explicit(parse_encoded(data, Bounds()))


def test_private_elements_of_implicit_vr_are_un() -> None:
    dataset = chest(ramp(8, 8))
    dataset.add_new(0x00190010, "LO", "NOBODY KNOWS")
    dataset.add_new(0x00191001, "FD", 0.5)

    implicit = parse_encoded(encode(dataset, ImplicitVRLittleEndian), Bounds())
    result = dcmread(BytesIO(part10_explicit(implicit, ExplicitVRLittleEndian)))

    assert result[0x00190010].VR == "LO"
    assert (result[0x00191001].VR, result[0x00191001].value) == ("UN", np.float64(0.5).tobytes())


def test_a_text_of_more_than_64_kb_is_un() -> None:
    """PS3.5 6.2.2: two bytes of length do not hold it."""
    dataset = chest(ramp(8, 8))
    dataset["ImageComments"] = DataElement("ImageComments", "LT", "x" * 70000, validation_mode=IGNORE)

    written = encode_explicit(parse_encoded(encode(dataset, ImplicitVRLittleEndian), Bounds()))

    assert b"\x20\x00\x00\x40UN\0\0" + (70000).to_bytes(4, "little") + b"xxx" in written
