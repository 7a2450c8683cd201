"""From bytes to a pydicom `Dataset`; time and memory are bounded whatever the bytes are."""

import re
import warnings
import zlib
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from service.dicom.charset import decode_text
from service.dicom.element_header import Encoding
from service.dicom.elements import binary, frame_count, integer, name, numbers, text
from service.dicom.foreign_format import not_dicom
from service.dicom.structure import Limits, encoding_of, meta_ends, walk
from service.errors import MalformedDicom, TooLarge, about

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)

_EXECUTABLES = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe")  # CVE-2019-11687
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")  # 0002, 0008, 0008 big endian


@dataclass(frozen=True)
class Bounds:
    """Limits on one file."""

    max_file_bytes: int = 128 * 2**20  # before and after inflating
    max_pixels: int = 64 * 2**20  # Rows x Columns
    max_depth: int = 32  # nested sequences
    max_elements: int = 20_000  # the real radiographs of the tests have up to 115
    max_items: int = 5_000  # in all sequences together
    max_fragments: int = 50_000  # fragments that pixel data may have


@dataclass(frozen=True)
class Part10:
    """The bytes of a DICOM file, and the transfer syntax that it declares."""

    data: bytes
    transfer_syntax: str


class Reading(NamedTuple):
    """A data set, and flags: `trailing_data` where something follows its last element."""

    dataset: Dataset
    flags: tuple[str, ...]


def read(data: bytes, bounds: Bounds = Bounds()) -> Dataset:
    """Parse a DICOM file that holds an image; raises as `read_with_flags`."""
    return read_with_flags(data, bounds).dataset


def read_with_flags(data: bytes, bounds: Bounds) -> Reading:
    """Parse a DICOM file that holds an image.

    Raises
    ------
    MalformedDicom
        `not_dicom`, `truncated`, `structure_invalid`, `too_deep`, `too_many_elements`, `pixel_data_missing`,
        `element_missing`, `value_invalid`.
    TooLarge
        `file_too_large`, `inflated_too_large`, `image_too_large`.
    """
    with warnings.catch_warnings(action="ignore"):  # pydicom's warnings quote values
        reading = _read(data, bounds)
        dataset = reading.dataset
        decode_text(dataset)
        with about(text(dataset, "SOPInstanceUID"), text(dataset, "SOPClassUID")):
            _check_image(dataset, bounds)
            _complete(dataset)
    return reading


def parse(data: bytes, bounds: Bounds) -> Dataset:
    """Parse a DICOM file, or a data set without the Part 10 header.

    Returns
    -------
    The data set. `file_meta.TransferSyntaxUID` is always set: as declared or, where it is not, as detected.

    Raises
    ------
    MalformedDicom
        `not_dicom`, `truncated`, `structure_invalid`, `too_deep`, `too_many_elements`.
    TooLarge
        `file_too_large`, `inflated_too_large`.
    """
    dataset = parse_encoded(data, bounds)
    with warnings.catch_warnings(action="ignore"):  # pydicom's warnings quote values
        decode_text(dataset)
    return dataset


def parse_encoded(data: bytes, bounds: Bounds) -> Dataset:
    """Parse as `parse` does, but leave text in the bytes of the file, so that it can be written as it was."""
    return _read(data, bounds).dataset


def _read(data: bytes, bounds: Bounds) -> Reading:
    if len(data) > bounds.max_file_bytes:
        raise TooLarge(f"the file must have at most {bounds.max_file_bytes} bytes, got {len(data)}", "file_too_large")
    start = _start(data)
    meta_end, data_start = meta_ends(data, start, bounds.max_elements)
    with warnings.catch_warnings(action="ignore"):  # pydicom's warnings quote values
        return _data_set(data, data_start, _meta(data, start, meta_end), bounds)


def part10(data: bytes, bounds: Bounds) -> Part10:
    """Put the Part 10 header before a data set without one; a file that has it stays as it is.

    Raises
    ------
    MalformedDicom
    """
    start = _start(data)
    meta_end, end = meta_ends(data, start, bounds.max_elements)
    with warnings.catch_warnings(action="ignore"):  # pydicom's warnings quote values
        meta = _meta(data, start, meta_end)
        if start and (declared := text(meta, "TransferSyntaxUID")):
            return Part10(data, declared)
        meta.TransferSyntaxUID = UID(_syntax(encoding_of(data, end, None)))
        dataset = parse(data, bounds)
        meta.MediaStorageSOPClassUID = UID(text(dataset, "SOPClassUID"))
        meta.MediaStorageSOPInstanceUID = UID(text(dataset, "SOPInstanceUID"))
        stream = DicomBytesIO()
        write_file_meta_info(stream, meta)
    return Part10(bytes(128) + b"DICM" + stream.getvalue() + data[end:], str(meta.TransferSyntaxUID))


def _start(data: bytes) -> int:
    """Position of the first element."""
    if data[128:132] == b"DICM":
        if data.startswith(_EXECUTABLES):
            raise MalformedDicom("the preamble makes the file an executable", "not_dicom")
        return 132
    first = Encoding(implicit=not re.fullmatch(rb"[A-Z]{2}", data[4:6]), little=data[:1] != b"\0")
    length = int.from_bytes(data[4:8], "little")
    if data[:2] in _FIRST_GROUPS and (not first.implicit or (first.little and length <= len(data))):
        return 0
    raise MalformedDicom(not_dicom(data), "not_dicom")


def _meta(data: bytes, start: int, end: int) -> FileMetaDataset:
    try:
        return FileMetaDataset(_parse(data, start, end, Encoding(implicit=False, little=True)))
    except (ValueError, TypeError):
        raise MalformedDicom(
            "the file meta information must consist of group 0002 alone", "structure_invalid"
        ) from None


def _data_set(data: bytes, start: int, meta: FileMetaDataset, bounds: Bounds) -> Reading:
    syntax = text(meta, "TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        data, start = _inflate(data, start, bounds.max_file_bytes), 0
    declared = Encoding(syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian) if syntax else None
    encoding = encoding_of(data, start, declared)
    limits = Limits(bounds.max_depth, bounds.max_elements, bounds.max_items, bounds.max_fragments)
    structure = walk(data, start, encoding, limits)
    dataset = _parse(_spelt(data, structure.misspelt), start, structure.end, encoding)
    if declared is None or (syntax in NATIVE and encoding.little != declared.little):
        meta.TransferSyntaxUID = UID(_syntax(encoding))
    dataset.file_meta = meta
    return Reading(dataset, ("trailing_data",) if structure.trailing else ())


def _spelt(data: bytes, misspelt: dict[int, bytes]) -> bytes:
    """Put VRs where the file has other characters: pydicom would read such an element in Implicit VR."""
    if not misspelt:
        return data
    corrected = bytearray(data)
    for position, vr in misspelt.items():
        corrected[position : position + 2] = vr
    return bytes(corrected)


def _parse(data: bytes, start: int, end: int, encoding: Encoding) -> Dataset:
    stream = BytesIO(data)
    stream.seek(start)
    try:
        return read_dataset(stream, encoding.implicit, encoding.little, bytelength=end - start)
    except MemoryError:
        raise
    except Exception:  # `walk` has checked the bounds; pydicom fails in many ways on what is still wrong
        raise MalformedDicom("the data set cannot be parsed", "structure_invalid") from None


def _inflate(data: bytes, start: int, limit: int) -> bytes:
    """PS3.5 A.5, bounded: pydicom would inflate 292 KB to 650 MB."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(memoryview(data)[start:], limit)
    except zlib.error:
        raise MalformedDicom("the deflated data set cannot be inflated", "structure_invalid") from None
    if inflater.eof:
        return inflated
    if len(inflated) < limit:
        raise MalformedDicom("the file ends inside its deflated data set", "truncated")
    raise TooLarge(f"the file must have at most {limit} bytes after inflating", "inflated_too_large")


def _syntax(encoding: Encoding) -> str:
    if encoding.implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if encoding.little else ExplicitVRBigEndian


def _check_image(dataset: Dataset, bounds: Bounds) -> None:
    if "PixelData" not in dataset:
        raise MalformedDicom(f"{name('PixelData')} is missing; an image is expected", "pixel_data_missing")
    rows, columns = integer(dataset, "Rows"), integer(dataset, "Columns")
    if rows < 1 or columns < 1:
        raise MalformedDicom("(0028,0010) Rows and (0028,0011) Columns must be at least 1", "value_invalid")
    if rows * columns > bounds.max_pixels:
        raise TooLarge(f"Rows x Columns must be at most {bounds.max_pixels}, got {rows * columns}", "image_too_large")
    size = len(binary(dataset, "PixelData"))
    if size == 0:
        raise MalformedDicom(f"{name('PixelData')} is empty; an image is expected", "pixel_data_missing")
    if dataset.file_meta.TransferSyntaxUID in NATIVE and size < _native_bytes(dataset, rows * columns):
        raise MalformedDicom(f"{name('PixelData')} is cut short: it is less than Rows x Columns x frames", "truncated")


def _complete(dataset: Dataset) -> None:
    """Give the attributes that decoders ask for the standard's form: capitals, and one sample if none is stated."""
    photometric = text(dataset, "PhotometricInterpretation")
    if photometric != photometric.upper():
        dataset.PhotometricInterpretation = photometric.upper()
    if not numbers(dataset, "SamplesPerPixel") and photometric.upper() in ("MONOCHROME1", "MONOCHROME2"):
        dataset.SamplesPerPixel = 1


def _native_bytes(dataset: Dataset, pixels: int) -> int:
    if integer(dataset, "SamplesPerPixel", 1) != 1:
        return 0  # may be subsampled; the gate refuses colour
    return pixels * frame_count(dataset) * integer(dataset, "BitsAllocated") // 8
