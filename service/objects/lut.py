"""Lookup tables of a radiograph for a presentation state: Modality LUT and VOI LUT have one form, PS3.3 C.11.1.1.

A presentation state's entries have 8 or 16 bits, a radiograph's any number between. Here they have 16: those of a
Modality LUT are quantities and stay as they are, those of a VOI LUT are shares of the highest and are spread.
"""

import numpy as np
from pydicom import DataElement, Dataset

from service.objects.header import values

_BITS = 16


def modality_table(image: Dataset) -> Dataset | None:
    """The first item of the Modality LUT Sequence; None where there is none, or none that can be read."""
    read = _read(image, "ModalityLUTSequence")
    return None if read is None else _item(*read[:2])


def voi_table(image: Dataset) -> Dataset | None:
    """The first item of the VOI LUT Sequence; None where there is none, or none that can be read."""
    read = _read(image, "VOILUTSequence")
    if read is None:
        return None
    first, entries, bits = read
    highest = 2 ** max(bits, int(entries.max()).bit_length()) - 1  # some writers understate the bits
    return _item(first, np.rint(entries * ((2**_BITS - 1) / highest)))


def _read(image: Dataset, keyword: str) -> tuple[int, np.ndarray, int] | None:
    """First value mapped, entries, and bits of an entry."""
    try:
        item = values(image, keyword)[0]
        count, first, bits = (int(value) for value in item.LUTDescriptor)
        count = count & 0xFFFF or 2**16  # PS3.3 C.11.1.1.1: 0 entries are 65536
        entries = _entries(item["LUTData"].value, count, image.original_encoding[1] is not False)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None
    return (first, entries[:count], bits) if entries.size >= count and 1 <= bits <= _BITS else None


def _entries(value: object, count: int, little: bool) -> np.ndarray:
    """LUT Data as it was written: words, or bytes where there are no more bytes than entries."""
    if not isinstance(value, bytes):
        return np.array(list(value), np.int64) & 0xFFFF  # type: ignore[call-overload]
    if len(value) <= count + count % 2:
        return np.frombuffer(value, np.uint8)
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2")


def _item(first: int, entries: np.ndarray) -> Dataset:
    table = Dataset()
    descriptor = [entries.size % 2**16, first, _BITS]
    if first < 0 and descriptor[0] >= 2**15:
        descriptor[0] -= 2**16  # one VR for all three
    table["LUTDescriptor"] = DataElement("LUTDescriptor", "SS" if first < 0 else "US", descriptor)
    table["LUTData"] = DataElement("LUTData", "OW", entries.astype("<u2").tobytes())
    return table
