"""Lookup tables: the Modality LUT and the VOI LUT have one form, PS3.3 C.11.1.1 and C.11.2.1.1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset

from service.dicom.elements import name, numbers
from service.errors import MalformedDicom

_WRITTEN_BITS = 16  # PS3.3 C.11.1.1.1: in a presentation state 8 or 16, in an image any number between


class Table(NamedTuple):
    """A lookup table.

    Attributes
    ----------
    first
        Value that is mapped to the first entry.
    entries
        [N] uint16.
    highest
        Highest value that an entry may have: 2 to the power of the bits of an entry, minus 1.
    """

    first: int
    entries: NDArray[np.uint16]
    highest: int


def look_up(values: NDArray[np.float64], table: Table) -> NDArray[np.float64]:
    """Map values, [N] float64 -> [N] float64; those below and above the table get its first and last entry."""
    index = np.clip(np.rint(values) - table.first, 0, table.entries.size - 1).astype(np.int64)
    return np.asarray(table.entries[index], np.float64)


def read_table(item: Dataset, dataset: Dataset, signed: bool) -> Table:
    """Read the table in an item of a Modality LUT Sequence or VOI LUT Sequence.

    Parameters
    ----------
    dataset
        The data set that holds the item: its byte order is that of the entries.
    signed
        Whether negative values go into the table: its first mapped value may then have been written without its sign.

    Raises
    ------
    MalformedDicom
        `value_invalid` where descriptor and data do not fit each other.
    """
    descriptor = tuple(int(number) for number in numbers(item, "LUTDescriptor"))
    if len(descriptor) != 3 or not 1 <= descriptor[2] <= 16:
        raise MalformedDicom(
            f"{name('LUTDescriptor')} must be the number of entries, the first value and 1 to 16 bits", "value_invalid"
        )
    count, first, bits = descriptor[0] & 0xFFFF or 2**16, descriptor[1], descriptor[2]  # 0 entries: 65536
    if signed and first >= 2**15:
        first -= 2**16
    entries = _entries(item, count, little=dataset.original_encoding[1] is not False)
    if entries.size < count:
        raise MalformedDicom(f"{name('LUTData')} has fewer entries than LUTDescriptor states", "value_invalid")
    required = int(entries[:count].max()).bit_length()  # some writers understate the bits
    return Table(first, entries[:count], 2 ** max(bits, required) - 1)


def modality_item(table: Table) -> Dataset:
    """Write a table as an item of a Modality LUT Sequence: its entries are quantities and keep their values."""
    return _item(table.first, table.entries)


def voi_item(table: Table) -> Dataset:
    """Write a table as an item of a VOI LUT Sequence: its entries are shares of the highest, scaled to 16 bits."""
    return _item(table.first, np.rint(table.entries * ((2**_WRITTEN_BITS - 1) / table.highest)))


def _entries(item: Dataset, count: int, little: bool) -> NDArray[np.uint16]:
    """LUT Data in either form: words, or bytes where there are no more bytes than entries."""
    value = item["LUTData"].value if "LUTData" in item else b""
    if not isinstance(value, bytes):
        return (np.array(numbers(item, "LUTData"), np.int64) & 0xFFFF).astype(np.uint16)
    if len(value) in (count, count + count % 2):
        return np.frombuffer(value, np.uint8).astype(np.uint16)
    return np.frombuffer(value[: len(value) // 2 * 2], "<u2" if little else ">u2").astype(np.uint16)


def _item(first: int, entries: NDArray[np.number]) -> Dataset:
    item = Dataset()
    vr = "SS" if first < 0 else "US"  # pydicom writes the number of entries without a sign in either
    item["LUTDescriptor"] = DataElement("LUTDescriptor", vr, [entries.size % 2**16, first, _WRITTEN_BITS])
    item["LUTData"] = DataElement("LUTData", "OW", entries.astype("<u2").tobytes())
    return item
