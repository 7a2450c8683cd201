"""The prediction as a Comprehensive 3D SR, TID 1500: the box as a measurement group, the findings as evaluations.

The readers' measurements are groups after the box. Each change of them makes another document, which names the earlier
ones.

A finding has no place of its own: the box is one for all of them. A measurement group of each (TID 1501) would be
without coordinates, which stops OHIF from loading the document; in groups that refer to the box (TID 1410) it would
draw the box once per finding, as if each lay in it.
"""

import numpy as np
from highdicom import sr
from highdicom.sr import enum
from pydicom import Dataset
from pydicom.sr.codedict import codes

from service.dicom.header import normalised, set_element
from service.objects.codes import (
    ABSENT,
    ATTENTION,
    ATTENTION_SHARE,
    COMMENT,
    DEVICE,
    PERCENT,
    PRESENT,
    PRIORITIES,
    PRIORITY,
    PROBABILITY,
    QUALITATIVE_EVALUATIONS,
    RADIOGRAPHY,
    SENSITIVITY,
    SPECIFICITY,
    THRESHOLD,
    UNDECIDED,
    row,
)
from service.objects.derived import concept, file, identity, remarks
from service.objects.kinds import Kind, Presentation
from service.objects.measurement_groups import measurement_groups
from service.objects.product import NAME, uid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding

# PS3.3 C.17.2: type 1 or 2, and type 3
_REQUEST = (
    *("StudyInstanceUID", "ReferencedStudySequence", "AccessionNumber"),
    *("RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence"),
)
_ORDER = ("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest")
_ISSUERS = ("IssuerOfAccessionNumberSequence", "OrderPlacerIdentifierSequence", "OrderFillerIdentifierSequence")
_Group = sr.PlanarROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations
_CONTAINS = enum.RelationshipTypeValues.CONTAINS
_PROPERTY = enum.RelationshipTypeValues.HAS_PROPERTIES
_PRESENCE = {True: PRESENT, False: ABSENT, None: UNDECIDED}


def structured_report(record: Record, source: Source, presentation: Presentation = Presentation.FULL) -> bytes:
    """Render a DICOM SR file; it is partial, preliminary and unverified, because no person has verified it."""
    attention, measured = _attention(record, source), measurement_groups(record, source)
    groups: list[_Group] = [attention, *measured] if presentation is Presentation.FULL else [*measured]
    content = sr.MeasurementReport(
        observation_context=_observer(record),
        procedure_reported=concept(RADIOGRAPHY),
        imaging_measurements=groups or [attention],
    )
    root = content[0]
    items = [*root.ContentSequence, _evaluations(record)]
    if not groups:  # TID 1500 asks for measurements or evaluations, highdicom for measurements in any case
        items = [item for item in items if item.name != codes.DCM.ImagingMeasurements]
    root.ContentSequence = []  # highdicom would copy the whole tree, and search it for images
    document = sr.Comprehensive3DSR(
        evidence=[source.header],
        content=root,
        requested_procedures=_requests(source) or None,
        previous_versions=_predecessors(record, source, presentation) or None,
        **identity(record, Kind.SR, presentation),
    )
    document.ContentSequence = items
    return file(document, record, source)


def _predecessors(record: Record, source: Source, presentation: Presentation) -> list[Dataset]:
    """Return the earlier documents of the record, latest first: an archive may lack one that was followed at once."""
    return [_document(record, source, presentation, revision) for revision in reversed(range(record.revision))]


def _document(record: Record, source: Source, presentation: Presentation, revision: int) -> Dataset:
    document = Dataset()
    document.SOPClassUID = Kind.SR.form.sop_class_uid
    document.StudyInstanceUID = source.header.StudyInstanceUID
    document.SeriesInstanceUID = uid(record.id, f"{presentation.series(Kind.SR)}/series")
    document.SOPInstanceUID = uid(record.id, presentation.part(Kind.SR, revision))
    return document


def _requests(source: Source) -> list[Dataset]:
    """Return the items of Referenced Request Sequence, PS3.3 C.17.2, from the radiograph's requests or its order."""
    orders = [normalised(source.image, keyword) for keyword in _ORDER]
    return [_request(request, source) for request in source.requests or ((Dataset(),) if any(orders) else ())]


def _request(request: Dataset, source: Source) -> Dataset:
    item = Dataset()
    for keyword in (*_REQUEST, *_ORDER, *_ISSUERS):
        value = normalised(request, keyword) or normalised(source.image, keyword)
        if value or keyword not in _ISSUERS:
            set_element(item, keyword, value)
    return item


def _observer(record: Record) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid(record.id, "device"),
        name=NAME,
        manufacturer_name=NAME,
        model_name=record.prediction.network.name,
        serial_number=record.prediction.network.sha256,
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(concept(DEVICE), device))


def _algorithm(record: Record) -> sr.AlgorithmIdentification:
    """TID 4019; the digest of the artefact distinguishes networks of one name and version."""
    network = record.prediction.network
    return sr.AlgorithmIdentification(network.name, network.version, [f"SHA-256: {network.sha256}"])


def _attention(record: Record, source: Source) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: the region of attention.

    OHIF labels a region by its measurements and else by its site, never by its finding; so the share of the image says
    what the region is, and there is no site.
    """
    x0, y0, x1, y1 = record.prediction.box
    corners = np.array(
        [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float32
    )  # edges of pixels, PS3.3 C.18.6.1.2
    header = source.header
    image = sr.SourceImageForRegion(header.SOPClassUID, header.SOPInstanceUID)
    share = (x1 - x0) * (y1 - y0) / (header.Columns * header.Rows)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(record, ATTENTION.meaning),
        referenced_region=sr.ImageRegion(enum.GraphicTypeValues.POLYLINE, corners, image),
        finding_type=concept(ATTENTION),
        algorithm_id=_algorithm(record),
        measurements=[sr.Measurement(concept(ATTENTION_SHARE), _percentage(share), concept(PERCENT))],
    )


def _evaluations(record: Record) -> sr.ContainerContentItem:
    """TID 1500, row 12: priority, findings and remarks, which concern the whole radiograph."""
    container = sr.ContainerContentItem(concept(QUALITATIVE_EVALUATIONS), relationship_type=_CONTAINS)
    priority = PRIORITIES[record.prediction.priority]
    container.ContentSequence = sr.ContentSequence(
        [
            *_algorithm(record),
            sr.CodeContentItem(concept(PRIORITY), concept(priority), _CONTAINS),
            *(_finding(finding, record) for finding in record.prediction.evaluated),
            *(sr.TextContentItem(concept(COMMENT), remark, _CONTAINS) for remark in remarks(record)),
        ]
    )
    return container


def _finding(finding: Finding, record: Record) -> sr.CodeContentItem:
    """Presence at the operating point, with the numbers as properties; TID 1500 is extensible."""
    coded = row(finding.label, finding.codes)
    item = sr.CodeContentItem(concept(coded.finding), concept(_PRESENCE[finding.positive]), _CONTAINS)
    numbers = (
        (PROBABILITY, finding.probability),
        (THRESHOLD, finding.threshold),
        (SENSITIVITY, finding.sensitivity),
        (SPECIFICITY, finding.specificity),
    )
    item.ContentSequence = sr.ContentSequence(
        [
            *_tracking(record, finding.label),
            sr.FindingSite(concept(coded.site)),
            *(
                sr.NumContentItem(concept(name), _percentage(value), concept(PERCENT), relationship_type=_PROPERTY)
                for name, value in numbers
                if value is not None
            ),
        ]
    )
    return item


def _tracking(record: Record, name: str) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid(record.id, f"{Kind.SR}/{name}"), name)


def _percentage(fraction: float) -> float:
    return round(100 * fraction, 4)
