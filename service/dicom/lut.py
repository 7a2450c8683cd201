"""Lookup tables of a data set: the Modality LUT and VOI LUT share one form, PS3.3 C.11.1.1 and C.11.2.1.1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.dicom.elements import name, numbers
from service.errors import MalformedDicom


class Table(NamedTuple):
    """Entries from the first mapped value on, and the highest value an entry may have."""

    first: int
    entries: NDArray[np.uint16]
    highest: int


def look_up(values: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    """[N] values through a table; those below and above it get its first and last entry."""
    first = table.first
    if first >= 2**15 and values.size and values.min() < 0:
        first -= 2**16  # written without its sign
    index = np.clip(np.rint(values) - first, 0, table.entries.size - 1).astype(np.int64)
    return np.asarray(table.entries[index], np.float64)


def table_of(item: Dataset, dataset: Dataset) -> Table:
    """Table in an item of `dataset`.

    Raises
    ------
    MalformedDicom
        `value_invalid` where descriptor and data do not fit each other.
    """
    descriptor = tuple(int(number) for number in numbers(item, "LUTDescriptor"))
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise MalformedDicom(f"{name('LUTDescriptor')}: entries, first value and 1 to 16 bits wanted", "value_invalid")
    count, first, bits = descriptor[0] & 0xFFFF or 2**16, descriptor[1], descriptor[2]  # 0 entries: 65536
    entries = _entries(item, count, little=dataset.original_encoding[1] is not False)
    if entries.size < count:
        raise MalformedDicom(f"{name('LUTData')}: fewer entries than the descriptor says", "value_invalid")
    needed = int(entries[:count].max()).bit_length()  # some writers understate the bits
    return Table(first, entries[:count], 2 ** max(bits, needed) - 1)


def _entries(item: Dataset, count: int, little: bool) -> NDArray[np.uint16]:
    """LUT Data as it was written: words, or bytes where there are no more bytes than entries."""
    value = item["LUTData"].value if "LUTData" in item else b""
    if not isinstance(value, bytes):
        return (np.array(numbers(item, "LUTData"), np.int64) & 0xFFFF).astype(np.uint16)
    if len(value) in (count, count + count % 2):
        return np.frombuffer(value, np.uint8).astype(np.uint16)
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2").astype(np.uint16)
