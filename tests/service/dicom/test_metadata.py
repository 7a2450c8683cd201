import json

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.metadata import metadata
from service.dicom.reader import Bounds
from tests.factories import chest, encode, ramp


def document(dataset: Dataset, syntax: str = ExplicitVRLittleEndian) -> dict[str, object]:
    result: dict[str, object] = json.loads(metadata(encode(dataset, syntax), Bounds()))
    return result


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_everything_but_bulk_data_is_there(syntax: str) -> None:
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
    assert elements["00082112"] == {"vr": "SQ", "Value": [{}]}
    assert not {"7FE00010", "00091001", "60003000"} & set(elements)
    assert list(elements["00283010"]["Value"][0]) == ["00283002"]  # type: ignore[index]


def test_infinity_and_nan_become_null() -> None:
    dataset = chest(ramp())
    dataset.add_new(0x00189073, "FD", [1.5, np.inf, np.nan])

    assert document(dataset)["00189073"] == {"vr": "FD", "Value": [1.5, None, None]}
