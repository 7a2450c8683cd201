"""Lookup tables of a radiograph for a presentation state: Modality LUT and VOI LUT have one form, PS3.3 C.11.1.1."""

import numpy as np
from pydicom import DataElement, Dataset

from service.reporting.values import values


def tables(image: Dataset, keyword: str) -> list[Dataset]:
    """Items of a Modality LUT or VOI LUT Sequence, their data in little-endian words; none where one cannot be read."""
    try:
        little = image.original_encoding[1] is not False
        return [_table(item, little) for item in values(image, keyword)]
    except (AttributeError, TypeError, ValueError, IndexError):
        return []


def _table(item: Dataset, little: bool) -> Dataset:
    count, first, bits = (int(value) for value in item.LUTDescriptor)
    value = item["LUTData"].value
    if isinstance(value, bytes) and len(value) <= (count & 0xFFFF or 2**16) + 1:
        entries = np.frombuffer(value, np.uint8).astype("<u2")
    elif isinstance(value, bytes):
        entries = np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2").astype("<u2")
    else:
        entries = (np.array(list(value), np.int64) & 0xFFFF).astype("<u2")
    table = Dataset()
    signed = first < 0
    descriptor = [count & 0xFFFF, first, bits]
    if signed and descriptor[0] >= 2**15:
        descriptor[0] -= 2**16
    table["LUTDescriptor"] = DataElement("LUTDescriptor", "SS" if signed else "US", descriptor)
    table["LUTData"] = DataElement("LUTData", "OW", entries.tobytes())
    return table
