import json

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.metadata import metadata
from service.dicom.reader import Bounds
from tests.factories import chest, encode, ramp


def told(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> dict[str, object]:
    found: dict[str, object] = json.loads(metadata(encode(dataset, syntax), Bounds()))
    return found


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_everything_is_told_but_bulk_data(syntax: str) -> None:
    dataset = chest(ramp(), PatientName="Müller^Änne", SpecificCharacterSet="ISO_IR 100")
    dataset.private_block(0x0009, "X", create=True).add_new(1, "OB", bytes(2000))
    dataset.SourceImageSequence = [Dataset()]
    dataset.SourceImageSequence[0].EncapsulatedDocument = bytes(2000)

    dataset.add_new(0x60003000, "OW", bytes(2000))  # an overlay
    dataset.VOILUTSequence = [Dataset()]
    dataset.VOILUTSequence[0].LUTDescriptor = [1000, 0, 16]
    dataset.VOILUTSequence[0].add_new("LUTData", "OW", bytes(2000))

    found = told(dataset, syntax)

    assert found["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]}
    assert found["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert found["00083002"] == {"vr": "UI", "Value": [syntax]}
    assert found["00082112"] == {"vr": "SQ", "Value": [{}]}
    assert not {"7FE00010", "00091001", "60003000"} & set(found)
    assert list(found["00283010"]["Value"][0]) == ["00283002"]  # type: ignore[index]


def test_json_has_no_infinity() -> None:
    dataset = chest(ramp())
    dataset.add_new(0x00189073, "FD", [1.5, np.inf, np.nan])

    assert told(dataset)["00189073"] == {"vr": "FD", "Value": [1.5, None, None]}
