"""The prediction as a Comprehensive 3D SR, TID 1500: a measurement group per finding, and one for the box."""

import numpy as np
from highdicom import sr
from highdicom.sr import enum

from service.objects.codes import (
    ABSENT,
    AT_OPERATING_POINT,
    ATTENTION,
    CHEST,
    COMMENT,
    DEVICE,
    PERCENT,
    PRESENT,
    PRIORITIES,
    PRIORITY,
    PROBABILITY,
    QUALITATIVE_EVALUATIONS,
    RADIOGRAPHY,
    THRESHOLD,
    Coded,
    row,
)
from service.objects.derived import concept, file, identity, remarks
from service.objects.kinds import Kind
from service.objects.product import NAME, uid
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding


def structured_report(record: Record, source: Source) -> bytes:
    """Render a DICOM SR file; it is partial, preliminary and unverified, because no person has verified it."""
    findings = [_finding(finding, record) for finding in record.prediction.findings]
    content = sr.MeasurementReport(
        observation_context=_observer(record),
        procedure_reported=concept(RADIOGRAPHY),
        imaging_measurements=[_attention(record, source), *findings],
    )
    content[0].ContentSequence.append(_evaluations(record))
    document = sr.Comprehensive3DSR(evidence=[source.header], content=content, **identity(record, Kind.SR))
    return file(document, record, source)


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


def _finding(finding: Finding, record: Record) -> sr.MeasurementsAndQualitativeEvaluations:
    """TID 1501; without an operating point it holds the probability alone and states no presence."""
    coded = row(finding.label)
    measurements = [_percentage(PROBABILITY, finding.probability)]
    if finding.threshold is not None:
        measurements.append(_percentage(THRESHOLD, finding.threshold))
    evaluations = []
    if finding.positive is not None:
        value = PRESENT if finding.positive else ABSENT
        evaluations.append(sr.QualitativeEvaluation(concept(AT_OPERATING_POINT), concept(value)))
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(record, finding.label),
        finding_type=concept(coded.finding),
        finding_sites=[sr.FindingSite(concept(coded.site))],
        algorithm_id=_algorithm(record),
        measurements=measurements,
        qualitative_evaluations=evaluations,
    )


def _attention(record: Record, source: Source) -> sr.PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410: the region that the local branch takes; it is one for all findings, so it has its own group."""
    x0, y0, x1, y1 = record.prediction.box
    corners = np.array(
        [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float32
    )  # edges of pixels, PS3.3 C.18.6.1.2
    image = sr.SourceImageForRegion(source.header.SOPClassUID, source.header.SOPInstanceUID)
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(record, ATTENTION.meaning),
        referenced_region=sr.ImageRegion(enum.GraphicTypeValues.POLYLINE, corners, image),
        finding_type=concept(ATTENTION),
        finding_sites=[sr.FindingSite(concept(CHEST))],
        algorithm_id=_algorithm(record),
    )


def _evaluations(record: Record) -> sr.ContainerContentItem:
    """TID 1500, row 12: priority and remarks, which concern the whole radiograph."""
    contains = enum.RelationshipTypeValues.CONTAINS
    container = sr.ContainerContentItem(concept(QUALITATIVE_EVALUATIONS), relationship_type=contains)
    priority = PRIORITIES[record.prediction.priority]
    container.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(concept(PRIORITY), concept(priority), contains),
            *(sr.TextContentItem(concept(COMMENT), remark, contains) for remark in remarks(record)),
        ]
    )
    return container


def _tracking(record: Record, name: str) -> sr.TrackingIdentifier:
    return sr.TrackingIdentifier(uid(record.id, f"{Kind.SR}/{name}"), name)


def _percentage(name: Coded, fraction: float) -> sr.Measurement:
    return sr.Measurement(concept(name), round(100 * fraction, 4), concept(PERCENT))
