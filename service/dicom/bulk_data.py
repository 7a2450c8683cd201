"""Bulk data of a data set: long binary values, which metadata refer to by URI, PS3.18 F.2.2."""

import re
from collections.abc import Iterator

from pydicom import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import ExplicitVRBigEndian

from service.dicom.elements import dictionary_vrs
from service.dicom.reader import Bounds, parse
from service.dicom.transcode import native
from service.errors import NotFound

PIXEL_DATA = "7FE00010"
BINARY_VRS = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_MAX_BYTES = 1024  # a longer value in one of these VRs is bulk data
_PATH = re.compile(r"[0-9A-F]{8}(/[1-9][0-9]{0,5}/[0-9A-F]{8})*")


def bulk_data(data: bytes, bounds: Bounds, path: str) -> bytes:
    """Return a binary value, in little-endian order.

    Parameters
    ----------
    path
        Tag, or tags of sequences and numbers of items, from 1, before it: `00283010/1/00283006`.

    Raises
    ------
    NotFound
        `no_such_bulk_data`.
    MalformedDicom, TooLarge
    """
    dataset = parse(data, bounds)
    if dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        dataset = parse(native(data, bounds), bounds)
    if not _PATH.fullmatch(path):
        raise _missing()
    *steps, last = path.split("/")
    for sequence, number in zip(steps[::2], steps[1::2], strict=True):
        dataset = _item(dataset, Tag(sequence), int(number))
    tag = Tag(last)
    if tag not in dataset or not is_binary(dataset, tag):
        raise _missing()
    return bytes(dataset.get_item(tag).value or b"")


def bulk_elements(dataset: Dataset) -> Iterator[tuple[Dataset, str, BaseTag, str]]:
    """Yield data set or item, path of that item, tag and VR of each bulk data element, at any depth.

    The path is empty, or ends with a slash. An element may be deleted once it was yielded.
    """
    yield from _bulk_elements(dataset, "")


def is_binary(dataset: Dataset, tag: BaseTag) -> bool:
    """Whether an element holds bytes, by its VR."""
    return bool(set(_vrs(dataset, tag)) & BINARY_VRS)


def _bulk_elements(dataset: Dataset, path: str) -> Iterator[tuple[Dataset, str, BaseTag, str]]:
    for tag in list(dataset.keys()):
        vrs = _vrs(dataset, tag)
        if "SQ" in vrs:
            for number, item in enumerate(dataset[tag].value, 1):
                yield from _bulk_elements(item, f"{path}{tag:08X}/{number}/")
        elif set(vrs) & BINARY_VRS and (
            tag.group == 0x7FE0 or len(dataset.get_item(tag).value or b"") > _MAX_BYTES  # pixel data, however small
        ):
            yield dataset, path, tag, "OW" if "OW" in vrs else vrs[0]


def _vrs(dataset: Dataset, tag: BaseTag) -> tuple[str, ...]:
    """VR as written, or from the dictionary for Implicit VR, where it may be a choice such as US or OW."""
    written = dataset.get_item(tag).VR
    if written:
        return (str(written),)
    return dictionary_vrs(tag)


def _item(dataset: Dataset, sequence: BaseTag, number: int) -> Dataset:
    if sequence not in dataset or "SQ" not in _vrs(dataset, sequence) or number > len(dataset[sequence].value):
        raise _missing()
    item: Dataset = dataset[sequence].value[number - 1]
    return item


def _missing() -> NotFound:
    return NotFound("no such bulk data", "no_such_bulk_data")
