"""The table of modules in `docs/conformance.md` names every attribute of the objects, and no other."""

import re
from pathlib import Path

import pytest

from service.objects.kinds import DICOM_KINDS, Kind
from service.objects.source import _OPTIONAL, _REQUIRED
from tests.service.objects.rendered import FAULTY, SOUND, parsed, rendered, source, table
from tests.service.objects.test_measurement_groups import measured
from tests.service.objects.test_requests import ORDER, REQUEST

HEADING = "| module | attributes | objects | value |"
LOSSY = {
    "LossyImageCompression": "01",
    "LossyImageCompressionRatio": [10],
    "LossyImageCompressionMethod": ["ISO_10918_1"],
}
RADIOGRAPHS = (
    source(**SOUND, **ORDER, **LOSSY, RequestAttributesSequence=[REQUEST], PixelSpacing=[0.2, 0.2], PatientAge="066Y"),
    FAULTY["zone"],
    FAULTY["Latin"],
    FAULTY["oblong pixels"],
    FAULTY["rescaled"],
    source(ModalityLUTSequence=[table(16, 4096)], RescaleSlope=None, IssuerOfPatientID="H7ADT"),
)


@pytest.fixture(scope="module")
def stated(root: Path) -> dict[Kind, set[str]]:
    """Keywords that the page states of each object."""
    page = (root / "docs" / "conformance.md").read_text(encoding="utf-8")
    rows = page.partition(f"{HEADING}\n")[2].partition("\n\n")[0].splitlines()[1:]
    keywords: dict[Kind, set[str]] = {kind: set() for kind in DICOM_KINDS}
    for row in rows:
        _, attributes, objects, _ = (cell.strip() for cell in row.strip("|").split("|"))
        for kind in DICOM_KINDS:
            if objects == "all" or f"`{kind}`" in objects:
                keywords[kind] |= set(
                    re.findall(
                        r"\b(?:[A-Z][A-Za-z]*[a-z][A-Z][A-Za-z]*|Rows|Columns|Modality|Manufacturer)\b", attributes
                    )
                )
    return keywords


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_the_page_names_every_attribute(kind: Kind, stated: dict[Kind, set[str]]) -> None:
    objects = [*(rendered(kind, data) for data in RADIOGRAPHS), rendered(kind, made_from=measured())]
    made = {element.keyword for data in objects for element in parsed(data)}
    fractional = {"SegmentationFractionalType", "MaximumFractionalValue"}  # the cell of values says where
    several = {"PlanarConfiguration", "NumberOfFrames"}  # in images of colour or of frames

    assert made - stated[kind] == set()
    assert stated[kind] - made - {*_REQUIRED, *_OPTIONAL} <= fractional | several
