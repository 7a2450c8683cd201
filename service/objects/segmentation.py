"""The attention of the network as Segmentations on the radiograph's own grid: fractional, and binary.

A fraction is a share of the map's largest activation, not a probability of disease; DICOM has no third fractional type
beside probability and occupancy. Most viewers show binary segmentations alone.
"""

from collections.abc import Iterator
from copy import deepcopy

import numpy as np
import numpy.typing as npt
from highdicom import seg
from highdicom.color import CIELabColor
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from service.dicom.elements import numbers
from service.dicom.geometry import geometry
from service.errors import MalformedDicom
from service.objects.codes import CLASS_ACTIVATION, SPATIAL_CONCEPT, row
from service.objects.derived import algorithm, concept, even, file, identity, remarks
from service.objects.kinds import Kind
from service.objects.overlay import relative
from service.objects.product import NAME, uid
from service.objects.region import region
from service.objects.resampling import levels, mask
from service.objects.source import Source
from service.storage.record import Record
from service.triage.finding import Finding

_LEVELS = 255
_HALF = 0.5  # share of a class map's own range
# Colours of the segments in turn; Okabe and Ito's, which the colour-blind can tell apart
_COLOURS = ("f0e442", "56b4e9", "e69f00", "cc79a7", "009e73", "d55e00", "0072b2")
_NOMINAL_THICKNESS = "1"
_LABEL = 64  # characters of an LO
_GRID = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def segmentation(record: Record, source: Source) -> bytes:
    """Render a DICOM SEG file with a fractional segment for the heat map and for the map of each positive finding."""
    image = _image(record, source, Kind.SEGMENTATION)
    image.SegmentsOverlap = "UNDEFINED"
    image.PixelData = even(b"".join(_fractions(record, (image.Columns, image.Rows))))
    return file(image, record, source)


def binary_segmentation(record: Record, source: Source) -> bytes:
    """Render a DICOM SEG file with the region of attention, and the upper half of the map of each positive finding."""
    image = _image(record, source, Kind.BINARY_SEGMENTATION)
    masks = np.stack(list(_masks(record, (image.Columns, image.Rows))))
    image.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence = [_plane_orientation(source)]
    image.SegmentsOverlap = "YES" if np.any(masks.sum(0, np.uint8) > 1) else "NO"
    image.PixelData = even(np.packbits(masks, bitorder="little").tobytes())  # frames without padding, PS3.5 8.1.1
    return file(image, record, source)


def _fractions(record: Record, size: tuple[int, int]) -> Iterator[bytes]:
    for heat in (record.heat_map, *_class_maps(record)):
        yield levels(heat, size, record.prediction.content, _LEVELS).tobytes()


def _masks(record: Record, size: tuple[int, int]) -> Iterator[npt.NDArray[np.bool_]]:
    content = record.prediction.content
    yield region(record.heat_map, size, content, record.prediction.box)
    for heat in _class_maps(record):
        yield mask(heat, size, content, _HALF)


def _class_maps(record: Record) -> Iterator[npt.NDArray[np.float32]]:
    for index, finding in enumerate(record.prediction.findings):
        if finding.positive:
            yield relative(record.class_maps[index])


def _image(record: Record, source: Source, kind: Kind) -> Dataset:
    """Everything of a Segmentation but its pixels.

    highdicom writes it over a source of one pixel: on a whole radiograph its checks sort, copy and compare all values
    of all segments, which takes seconds and several times the memory of the file.
    """
    positive = [finding for finding in record.prediction.findings if finding.positive]
    fractional = kind is Kind.SEGMENTATION
    pixel = deepcopy(source.header)
    pixel.Rows = pixel.Columns = 1
    image = seg.Segmentation(
        source_images=[pixel],
        pixel_array=np.zeros((1, 1, 1, 1 + len(positive)), np.uint8),
        segmentation_type="FRACTIONAL" if fractional else "BINARY",
        segment_descriptions=[
            _segment(record, kind, number, finding) for number, finding in enumerate((None, *positive), 1)
        ],
        fractional_type="PROBABILITY",
        max_fractional_value=_LEVELS,
        content_label="ATTENTION",
        content_description="Attention of the network, not an outline of disease",
        content_creator_name=NAME,
        omit_empty_frames=False,
        **identity(record, kind),
    )
    image.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence = [_pixel_measures(source)]
    image.Rows, image.Columns = source.header.Rows, source.header.Columns
    _set_dimensions_uid(image, uid(record.id, f"{kind}/dimensions"))
    image.PatientOrientation = list(geometry(source.image).orientation or ())
    image.ImageComments = "\n".join(remarks(record))
    return image


def _pixel_measures(source: Source) -> Dataset:
    """Return the item of Pixel Measures Sequence, PS3.3 C.7.6.16.2.1.

    OHIF needs the item, even if it is empty, and highdicom reads no spacing without a thickness, which a projection
    does not have. Spacing at the detector counts as pixel spacing that is not calibrated, PS3.3 10.7.1.3.
    """
    measures = Dataset()
    if spacing := geometry(source.image).spacing:
        measures.PixelSpacing = [format_number_as_ds(value) for value in spacing]
        measures.SliceThickness = _NOMINAL_THICKNESS
    return measures


def _plane_orientation(source: Source) -> Dataset:
    """Return the item of Plane Orientation Sequence, PS3.3 C.7.6.16.2.4.

    A radiograph seldom states direction cosines, yet OHIF compares them, and takes the axes of the pixel grid for a
    radiograph without them. Without a frame of reference they claim no place in the patient.
    """
    orientation = Dataset()
    orientation.ImageOrientationPatient = [format_number_as_ds(cosine) for cosine in _cosines(source.image)]
    return orientation


def _cosines(image: Dataset) -> tuple[float, ...]:
    try:
        cosines = numbers(image, "ImageOrientationPatient")
    except MalformedDicom:
        return _GRID
    return cosines if len(cosines) == len(_GRID) else _GRID


def _set_dimensions_uid(image: Dataset, uid: str) -> None:
    """Set a UID of the record: highdicom sets a random one."""
    for item in (*image.DimensionOrganizationSequence, *image.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _segment(record: Record, kind: Kind, number: int, finding: Finding | None) -> seg.SegmentDescription:
    """Describe the segment of a finding, or of the heat map."""
    name = "Attention" if finding is None else finding.label
    item = seg.SegmentDescription(
        segment_number=number,
        segment_label=name if finding is None else f"Attention: {name}"[:_LABEL],
        segmented_property_category=concept(SPATIAL_CONCEPT),
        segmented_property_type=concept(CLASS_ACTIVATION),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm(record),
        tracking_uid=uid(record.id, f"{kind}/{name}"),
        tracking_id=name,
        display_color=CIELabColor.from_rgb(*bytes.fromhex(_COLOURS[(number - 1) % len(_COLOURS)])),
    )
    if finding is not None:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            concept(row(finding.label, finding.codes).finding)
        ]
    return item
