"""A data set written in Explicit VR Little Endian, whatever encoding it was read from; values keep their bytes.

pydicom would decode every text and encode it again, and leaves the bytes of OW as they are.
"""

import struct

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element, write_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from service.dicom.elements import dictionary_vrs, text

_UNDEFINED = 0xFFFFFFFF
_ITEM = struct.Struct("<HHL")
_WORD_BYTES = {  # PS3.5 7.3
    **dict.fromkeys(("US", "SS", "OW", "AT"), 2),
    **dict.fromkeys(("UL", "SL", "FL", "OF", "OL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}


def part10_explicit(dataset: Dataset, transfer_syntax: str) -> bytes:
    """Write a Part 10 file in a transfer syntax that is Explicit VR Little Endian, compressed or not.

    Parameters
    ----------
    dataset
        As `reader.parse_encoded` returns it; elements that were replaced since are written with their new values.
    """
    meta = FileMetaDataset(dataset.file_meta)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.MediaStorageSOPClassUID = UID(text(dataset, "SOPClassUID"))
    meta.MediaStorageSOPInstanceUID = UID(text(dataset, "SOPInstanceUID"))
    stream = DicomBytesIO()
    write_file_meta_info(stream, meta)
    return bytes(128) + b"DICM" + stream.getvalue() + encode_explicit(dataset)


def encode_explicit(dataset: Dataset, representation: int = 0) -> bytes:
    """Write a data set or item without group lengths, which are retired.

    Parameters
    ----------
    representation
        Pixel Representation of the data set around an item; it decides between US and SS.
    """
    representation = int(dataset.get("PixelRepresentation") or representation)
    little = bool(dataset.original_encoding[1])
    elements = (dataset.get_item(tag) for tag in sorted(dataset.keys()) if tag.element != 0)
    return b"".join(_element(element, dataset, representation, little) for element in elements)


def _element(element: DataElement | RawDataElement, dataset: Dataset, representation: int, little: bool) -> bytes:
    vr = _vr(element.tag, element.VR, representation)
    if vr == "SQ":
        items = (encode_explicit(item, representation) for item in dataset[element.tag].value)
        value = b"".join(_ITEM.pack(0xFFFE, 0xE000, len(item)) + item for item in items)
        return _header(element.tag, "SQ", len(value)) + value
    if not isinstance(element, RawDataElement):
        return _written(element)
    value = bytes(element.value or b"")
    value = value if little else _swapped(value, vr)
    if element.length == _UNDEFINED:  # fragments
        return _header(element.tag, vr, _UNDEFINED) + value + _ITEM.pack(0xFFFE, 0xE0DD, 0)
    return _header(element.tag, vr, len(value)) + value


def _vr(tag: BaseTag, written: str | None, representation: int) -> str:
    if written in STANDARD_VR and written != "UN":
        return str(written)
    if tag.is_private_creator:
        return "LO"
    choices = dictionary_vrs(tag) if written is None else ("UN",)
    if "OW" in choices:
        return "OW"
    return "SS" if choices == ("US", "SS") and representation else choices[0]


def _header(tag: BaseTag, vr: str, length: int) -> bytes:
    if vr not in EXPLICIT_VR_LENGTH_32 and length > 0xFFFF:
        vr = "UN"  # PS3.5 6.2.2
    head = struct.pack("<HH2s", tag.group, tag.element, vr.encode("ascii"))
    return head + (struct.pack("<2xL", length) if vr in EXPLICIT_VR_LENGTH_32 else struct.pack("<H", length))


def _written(element: DataElement) -> bytes:
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = False, True
    write_data_element(stream, element)
    return stream.getvalue()


def _swapped(value: bytes, vr: str) -> bytes:
    """Reverse the bytes of every word."""
    size = _WORD_BYTES.get(vr, 1)
    whole = len(value) // size * size
    return np.frombuffer(value[:whole], np.uint8).reshape(-1, size)[:, ::-1].tobytes() + value[whole:]
