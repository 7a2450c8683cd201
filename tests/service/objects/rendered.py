"""A record, radiographs with the faults that archives are full of, and the objects rendered from the two."""

import shutil
import subprocess
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from model.labels import LABELS
from service.dicom.radiograph import radiograph
from service.dicom.reader import read
from service.objects.kinds import Kind
from service.objects.render import render
from service.storage.record import Record
from service.triage.finding import Finding
from service.triage.prediction import Network
from tests.factories import chest, encode, ramp
from tests.service import records

HEIGHT, WIDTH = 300, 260
BOX = (40, 60, 150, 221)
POSITIVE = ("Effusion", "Pneumothorax")
PIXELS = ramp(HEIGHT, WIDTH)


def record(**changes: Any) -> Record:
    """Two positive findings, one without an operating point, two flags; every number is unique."""
    random = np.random.default_rng(5)
    values: dict[str, Any] = {
        "id": "0123456789abcdef" * 2,
        "created": datetime(2025, 3, 5, 22, 30, 15, 250_000, UTC),
        "findings": tuple(_finding(index, label) for index, label in enumerate(LABELS)),
        "priority": "STAT",
        "reason": ("Pneumothorax",),
        "flags": ("window_missing", "view_position_missing"),
        "box": BOX,
        "content": (0.0, 0.0, 1.0, 1.0),
        "network": Network("agcnn-densenet121", "2.1", "9f" * 32),
        "heat_map": random.random((7, 7), np.float32),
        "class_maps": random.normal(0, 3, (len(LABELS), 7, 7)).astype(np.float32),
    }
    return records.record(**(values | changes))


def _finding(index: int, label: str) -> Finding:
    if label == "Hernia":
        return Finding(label, 0.0123456, 0.02, 0.03, None, None, None, None)
    probability = 0.75 + index / 100 if label in POSITIVE else 0.1 + index / 1000
    return Finding(label, probability, 0.4, 0.5, 0.5 + index / 200, label in POSITIVE, 0.625, 0.95)


def source(syntax: str = ExplicitVRLittleEndian, **elements: Any) -> bytes:
    """A radiograph of `HEIGHT` x `WIDTH` pixels; `elements` are set over a sound header, whatever they are."""
    dataset = chest(PIXELS, **{keyword: None for keyword, value in elements.items() if value is None})
    for keyword, value in elements.items():
        if value is not None:
            vr = dictionary_VR(keyword).split(" ")[0]
            dataset[keyword] = DataElement(keyword, vr, value, validation_mode=IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom has an opinion on faults
        return encode(dataset, syntax)


def item(**elements: Any) -> Dataset:
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in elements.items():
        vr = dictionary_VR(keyword).split(" ")[0]
        dataset[keyword] = DataElement(keyword, vr, value, validation_mode=IGNORE)
    return dataset


def table(bits: int, entries: int, first: int = 0, order: str = "<") -> Dataset:
    """An item of a lookup table that rises from 0 to its highest value."""
    values = np.linspace(0, 2**bits - 1, entries).astype(f"{order}u2")
    dataset = Dataset()
    dataset["LUTDescriptor"] = DataElement("LUTDescriptor", "US", [entries % 2**16, first, bits])
    dataset["LUTData"] = DataElement("LUTData", "OW", values.tobytes())
    return dataset


SOUND = {
    "StudyDate": "20250305",
    "StudyTime": "221500",
    "StudyID": "S-1",
    "ReferringPhysicianName": "Doe^Jane",
    "PatientSex": "F",
    "PatientOrientation": ["L", "F"],
    "ImagerPixelSpacing": [0.14, 0.14],
    "StudyDescription": "Thorax p.a.",
}
FAULTY: dict[str, bytes] = {
    "sound": source(**SOUND),
    "nobody": source(PatientID=None, PatientName=None, PatientBirthDate=None, AccessionNumber=None),
    "empty": source(PatientID="", PatientName="", PatientBirthDate="", AccessionNumber="", StudyDate="", StudyTime=""),
    "zero spacing": source(PixelSpacing=[0, 0], ImagerPixelSpacing=[0, 0], PixelAspectRatio=[0, 0]),
    "spacing of one": source(PixelSpacing=[0.2]),
    "oblong pixels": source(ImagerPixelSpacing=[0.28, 0.14]),
    "oblong in the patient": source(PixelSpacing=[0.28, 0.14]),
    "name of a hospital": source(PatientName="Tweety Kanarie", ReferringPhysicianName="ward"),
    "name too long": source(PatientName="Kanarie" * 20, PatientID="7" * 90, AccessionNumber="A" * 40, StudyID="S" * 40),
    "name in six parts": source(PatientName="a^b^c^d^e^f=g=h=i", ReferringPhysicianName=["a^b", "c^d"]),
    "Japanese": source(SpecificCharacterSet=["", "ISO 2022 IR 87"], PatientName="Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Latin": source(SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen", StudyDescription="Übersicht"),
    "charset unsaid": source(SpecificCharacterSet="ISO_IR 6").replace(b"Canary^Tweety", b"M\xfcller^J\xfcrgen"),
    "charset unknown": source(SpecificCharacterSet="TWEETY"),
    "dates of old": source(StudyDate="2025.03.05", PatientBirthDate="1942.05.02", StudyTime="22:15:00"),
    "dates of nowhere": source(StudyDate="20261399", StudyTime="256199", PatientBirthDate="unknown"),
    "sex in words": source(PatientSex="female"),
    "sex unknown": source(PatientSex="?", PatientAge="old", PatientWeight=71234).replace(b"71234", b"heavy"),
    "zone of nowhere": source(TimezoneOffsetFromUTC="CET"),
    "zone": source(TimezoneOffsetFromUTC="+0530", **SOUND),
    "class unknown": source(SOPClassUID="1.2.3.4.5"),
    "class unsaid": source(SOPClassUID=None),
    "CR": source(SOPClassUID="1.2.840.10008.5.1.4.1.1.1", Modality="CR"),
    "secondary capture": source(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
    "white is low": source(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"),
    "white is low, unsaid": source(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape=None),
    "no window": source(WindowCenter=None, WindowWidth=None, VOILUTFunction=None),
    "window of nothing": source(WindowWidth=0),
    "window too narrow": source(WindowWidth=0.5, VOILUTFunction="CUBIC"),
    "intercept alone": source(RescaleSlope=None, RescaleIntercept=100),
    "table from below zero": source(VOILUTSequence=[table(8, 4000, 65526)], RescaleSlope=1, RescaleIntercept=-20),
    "two windows": source(WindowCenter=[2000, 100], WindowWidth=[3000, 50], VOILUTFunction="SIGMOID"),
    "tables": source(ModalityLUTSequence=[table(16, 4096)], VOILUTSequence=[table(10, 4096)], RescaleSlope=None),
    "rescaled": source(RescaleSlope=-2, RescaleIntercept=1000.5, RescaleType=None),
    "lossy": source(
        LossyImageCompression="01", LossyImageCompressionRatio=[10], LossyImageCompressionMethod=["ISO_10918_1"]
    ),
    "lossy, no more said": source(LossyImageCompression="01"),
    "turned": source(PatientOrientation=["LEFT", "DOWN"]),
    "half an orientation": source(PatientOrientation=["L"]),
    "codes": source(
        ProcedureCodeSequence=[item(CodeValue="36554-4", CodingSchemeDesignator="LN", CodeMeaning="XR Chest 1 view")],
        ReferencedStudySequence=[item(ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1", ReferencedSOPInstanceUID="X")],
        ReferencedPatientSequence=[],
    ),
    "implicit": source(ImplicitVRLittleEndian, **SOUND),
    "big endian": source(ExplicitVRBigEndian, **SOUND, VOILUTSequence=[table(10, 4096, order=">")]),
    "deflated": source(DeflatedExplicitVRLittleEndian, **SOUND),
}


def rendered(kind: str, data: bytes = FAULTY["sound"], made_from: Record | None = None) -> bytes:
    """An object of a radiograph's file, as a decoder process makes it."""

    def view() -> np.ndarray:
        return np.rint(radiograph(data).values * 255).astype(np.uint8)

    return render(read(data), view, Kind(kind), record() if made_from is None else made_from)


def parsed(data: bytes) -> Dataset:
    return dcmread(BytesIO(data))


def items(dataset: Dataset) -> Iterator[Dataset]:
    """A data set, and every item in it."""
    yield dataset
    for element in dataset:
        if element.VR == "SQ":
            for inner in element.value:
                yield from items(inner)


def errors(data: bytes, folder: Path) -> set[str]:
    """What David Clunie's validator finds wrong with a file, whichever module it is in."""
    tool = shutil.which("dciodvfy")
    if tool is None:
        pytest.skip("no dciodvfy (Debian: dicom3tools)")
    path = folder / "object.dcm"
    path.write_bytes(data)
    output = subprocess.run([tool, "-new", path], capture_output=True, timeout=60, check=False)
    lines = (output.stdout + output.stderr).decode("utf-8", "replace").splitlines()
    assert lines, "it names the object at least"
    return {line.split(" - Module=")[0] for line in lines if line.startswith("Error")}
