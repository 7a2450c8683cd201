"""Every Bulk Data URI of the metadata names the value that the file has."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from service.dicom.bulk_data import bulk_data
from service.dicom.metadata import metadata
from service.dicom.reader import Bounds
from service.errors import NotFound
from tests.factories import chest, encode, ramp

VALUE = bytes(range(256)) * 8


def with_bulk_data(big_endian: bool) -> Dataset:
    """Return a radiograph with long values at every depth; pydicom writes words as they are given."""
    words = bytes(byte for low, high in zip(VALUE[::2], VALUE[1::2], strict=True) for byte in (high, low))
    inner, outer = Dataset(), Dataset()
    inner.add_new("LUTData", "OW", words if big_endian else VALUE)
    outer.VOILUTSequence = [Dataset(), inner]
    dataset = chest(ramp(4, 4))
    dataset.ReferencedImageSequence = [outer]
    dataset.add_new("EncapsulatedDocument", "OB", VALUE)
    dataset.add_new(0x60003000, "OW", words if big_endian else VALUE)
    return dataset


def uris(document: dict[str, Any]) -> Iterator[str]:
    for element in document.values():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"]
        for item in element.get("Value", ()) if element["vr"] == "SQ" else ():
            yield from uris(item)


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian],
)
def test_every_uri_leads_to_its_value(syntax: str) -> None:
    data = encode(with_bulk_data(syntax == ExplicitVRBigEndian), syntax)

    paths = [uri.removeprefix("bulkdata/") for uri in uris(json.loads(metadata(data, Bounds())))]

    assert paths == ["00081140/1/00283010/2/00283006", "00420011", "60003000", "7FE00010"]
    assert [bulk_data(data, Bounds(), path) for path in paths[:3]] == [VALUE] * 3
    assert bulk_data(data, Bounds(), paths[3]) == ramp(4, 4).astype("<u2").tobytes()


@pytest.mark.parametrize(
    "path",
    [
        "00420012",  # absent
        "00100010",  # a name, which is no bulk data
        "00081140",  # a sequence
        "00081140/2/00283010",  # no such item
        "00081140/0/00283010",
        "00081140/1/00283010/1/00283006",  # the item is empty
        "00100010/1/00283006",
        "../00420011",
        "0042001",
        "",
    ],
)
def test_any_other_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as caught:
        bulk_data(encode(with_bulk_data(False)), Bounds(), path)

    assert caught.value.code == "no_such_bulk_data"
