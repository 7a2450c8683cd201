"""The requests that a radiograph fulfils, in the objects made from it."""

from pathlib import Path

import pytest

from service.objects.kinds import DICOM_KINDS, Kind
from tests.service.objects.rendered import SOUND, errors, item, parsed, rendered, source

PROCEDURE = item(CodeValue="36554-4", CodingSchemeDesignator="LN", CodeMeaning="XR Chest 1 view")
REQUEST = item(
    AccessionNumber="A1",
    StudyInstanceUID="2.25.1001",
    RequestedProcedureID="RP1",
    RequestedProcedureDescription="Chest p.a.",
    RequestedProcedureCodeSequence=[PROCEDURE],
    ScheduledProcedureStepID="SPS1",
)
ORDER = {"PlacerOrderNumberImagingServiceRequest": "P-7", "FillerOrderNumberImagingServiceRequest": "F-8"}
REQUESTED = source(**SOUND, RequestAttributesSequence=[REQUEST], **ORDER)


@pytest.mark.parametrize("kind", [kind for kind in DICOM_KINDS if kind is not Kind.SR])
def test_an_image_or_state_has_the_requests_of_the_radiograph(kind: Kind, tmp_path: Path) -> None:
    data = rendered(kind, REQUESTED)

    assert list(parsed(data).RequestAttributesSequence) == [REQUEST]
    assert errors(data, tmp_path) == set()


def test_a_report_refers_to_the_requests(tmp_path: Path) -> None:
    data = rendered("sr", REQUESTED)

    (request,) = parsed(data).ReferencedRequestSequence
    assert (request.StudyInstanceUID, request.AccessionNumber) == ("2.25.1001", "A1")
    assert (request.RequestedProcedureID, request.RequestedProcedureDescription) == ("RP1", "Chest p.a.")
    assert list(request.RequestedProcedureCodeSequence) == [PROCEDURE]
    assert (request.PlacerOrderNumberImagingServiceRequest, request.FillerOrderNumberImagingServiceRequest) == (
        "P-7",
        "F-8",
    )
    assert list(request.ReferencedStudySequence) == []
    assert errors(data, tmp_path) == set()


def test_a_report_refers_to_an_order_without_requests(tmp_path: Path) -> None:
    data = rendered("sr", source(**SOUND, **ORDER))

    (request,) = parsed(data).ReferencedRequestSequence
    assert (request.PlacerOrderNumberImagingServiceRequest, request.AccessionNumber) == ("P-7", "A1")
    assert request.StudyInstanceUID == "2.25.1001"
    assert errors(data, tmp_path) == set()


@pytest.mark.parametrize("kind", DICOM_KINDS)
def test_without_requests_there_are_none(kind: Kind) -> None:
    dataset = parsed(rendered(kind))

    assert "RequestAttributesSequence" not in dataset
    assert "ReferencedRequestSequence" not in dataset
