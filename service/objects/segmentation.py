"""The attention of the network, as a fractional Segmentation on the radiograph's own grid.

A fraction is a share of the map's largest activation, not a probability of disease; DICOM has no third fractional type
beside probability and occupancy.
"""

import numpy as np
from highdicom import seg
from pydicom import Dataset

from service.dicom.geometry import geometry
from service.objects import overlay
from service.objects.codes import CLASS_ACTIVATION, SPATIAL_CONCEPT, row
from service.objects.derived import algorithm, concept, file, identity, remarks
from service.objects.kinds import Kind
from service.objects.product import uid
from service.objects.source import Source
from service.storage.record import Record


def segmentation(record: Record, source: Source) -> bytes:
    """Render a DICOM SEG file with a segment for the heat map and one for the class map of each positive finding."""
    size = source.header.Columns, source.header.Rows
    positive = [index for index, finding in enumerate(record.prediction.findings) if finding.positive]
    maps = [record.heat_map, *(overlay.relative(record.class_maps[index]) for index in positive)]
    labels = ["Attention", *(record.prediction.findings[index].label for index in positive)]
    values = np.empty((1, size[1], size[0], len(maps)), np.float32)
    for index, heat in enumerate(maps):
        values[0, ..., index] = overlay.upsampled(heat, size, record.prediction.content)
    image = seg.Segmentation(
        source_images=[source.header],
        pixel_array=values,
        segmentation_type="FRACTIONAL",
        segment_descriptions=[_segment(record, number, label) for number, label in enumerate(labels, 1)],
        fractional_type="PROBABILITY",
        max_fractional_value=255,
        content_label="ATTENTION",
        content_description="Attention of the network, not an outline of disease",
        omit_empty_frames=False,
        **identity(record, Kind.SEGMENTATION),
    )
    _set_dimensions_uid(image, uid(record.id, f"{Kind.SEGMENTATION}/dimensions"))
    image.PatientOrientation = list(geometry(source.image).orientation or ())
    image.ImageComments = "\n".join(remarks(record))
    return file(image, record, source)


def _set_dimensions_uid(image: Dataset, uid: str) -> None:
    """Set a UID of the record: highdicom sets a random one."""
    for item in (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _segment(record: Record, number: int, label: str) -> seg.SegmentDescription:
    item = seg.SegmentDescription(
        segment_number=number,
        segment_label=f"AI {label}",
        segmented_property_category=concept(SPATIAL_CONCEPT),
        segmented_property_type=concept(CLASS_ACTIVATION),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm(record),
        tracking_uid=uid(record.id, f"{Kind.SEGMENTATION}/{label}"),
        tracking_id=label,
    )
    if number > 1:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            concept(row(label).finding)
        ]
    return item
