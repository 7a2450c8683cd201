import json

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.metadata import metadata, resolved
from service.dicom.reader import Bounds
from tests.factories import chest, encode, ramp


def document(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> dict[str, object]:
    result: dict[str, object] = json.loads(metadata(encode(dataset, syntax), Bounds()))
    return result


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_bulk_data_is_named_and_everything_else_is_there(syntax: str) -> None:
    dataset = chest(ramp(), PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100")
    dataset.private_block(0x0009, "X", create=True).add_new(1, "OB", bytes(2000))
    dataset.SourceImageSequence = [Dataset()]
    dataset.SourceImageSequence[0].EncapsulatedDocument = bytes(2000)

    dataset.add_new(0x60003000, "OW", bytes(2000))  # an overlay
    dataset.VOILUTSequence = [Dataset()]
    dataset.VOILUTSequence[0].LUTDescriptor = [1000, 0, 16]
    dataset.VOILUTSequence[0].add_new("LUTData", "OW", bytes(2000))

    elements = document(dataset, syntax)

    assert elements["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}
    assert elements["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert elements["00083002"] == {"vr": "UI", "Value": [syntax]}
    [source], [lut] = elements["00082112"]["Value"], elements["00283010"]["Value"]  # type: ignore[index]
    assert source == {"00420011": {"vr": "OB", "BulkDataURI": "bulkdata/00082112/1/00420011"}}
    assert lut["00283006"] == {"vr": "OW", "BulkDataURI": "bulkdata/00283010/1/00283006"}
    assert elements["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"}
    private = "UN" if syntax == ImplicitVRLittleEndian else "OB"
    assert elements["00091001"] == {"vr": private, "BulkDataURI": "bulkdata/00091001"}
    assert elements["60003000"] == {"vr": "OW", "BulkDataURI": "bulkdata/60003000"}
    assert list(elements) == sorted(elements)


def test_a_short_value_is_inline() -> None:
    dataset = chest(ramp())
    dataset.add_new(0x60003000, "OW", b"\1\2")

    assert document(dataset)["60003000"] == {"vr": "OW", "InlineBinary": "AQI="}


def test_pixel_data_is_bulk_data_however_short() -> None:
    assert document(chest(ramp(2, 2)))["7FE00010"] == {"vr": "OW", "BulkDataURI": "bulkdata/7FE00010"}


def test_uris_are_resolved_and_nothing_that_looks_like_one() -> None:
    dataset = chest(ramp(), StudyDescription='x", "BulkDataURI": "bulkdata/00100010')

    result = json.loads(resolved(metadata(encode(dataset), Bounds()), "https://host/instances/1"))

    assert result["7FE00010"]["BulkDataURI"] == "https://host/instances/1/bulkdata/7FE00010"
    assert result["00081030"]["Value"] == [dataset.StudyDescription]


def test_infinity_and_nan_become_null() -> None:
    dataset = chest(ramp())
    dataset.add_new(0x00189073, "FD", [1.5, np.inf, np.nan])

    assert document(dataset)["00189073"] == {"vr": "FD", "Value": [1.5, None, None]}
