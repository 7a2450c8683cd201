"""Rendering of an object of any kind from a record and its radiograph."""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.config import disable_value_validation

from service.objects.kinds import Kind, Presentation
from service.storage.record import Record

View = Callable[[], npt.NDArray[np.uint8]]


def render(
    image: Dataset, view: View, kind: Kind, record: Record, presentation: Presentation = Presentation.FULL
) -> bytes:
    """Render an object: a Part 10 file, JSON, or text for HL7.

    Parameters
    ----------
    image
        Data set of the radiograph, accepted by the gate.
    view
        Returns the display values, [H, W] uint8; called only by the kind that shows them.
    presentation
        What of the prediction may be in the object.
    """
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")  # warnings quote values of the data set
        return _render(image, view, kind, record, presentation)


def _render(image: Dataset, view: View, kind: Kind, record: Record, presentation: Presentation) -> bytes:
    # Imported here, by the process that renders: highdicom is needed neither to start the service nor to answer.
    from service.objects.source import source_of

    source = source_of(image)
    match kind:
        case Kind.SR:
            from service.objects.structured_report import structured_report

            return structured_report(record, source, presentation)
        case Kind.SEGMENTATION:
            from service.objects.segmentation import segmentation

            return segmentation(record, source)
        case Kind.BINARY_SEGMENTATION:
            from service.objects.segmentation import binary_segmentation

            return binary_segmentation(record, source)
        case Kind.SECONDARY_CAPTURE:
            from service.objects.secondary_capture import secondary_capture

            return secondary_capture(record, source, view())
        case Kind.PRESENTATION_STATE:
            from service.objects.presentation_state import presentation_state

            return presentation_state(record, source)
        case Kind.FHIR:
            from service.objects.fhir import fhir

            return fhir(record, source)
        case Kind.HL7:
            from service.objects.hl7 import hl7

            return hl7(record, source)
        case Kind.NOTIFICATION:
            from service.objects.notification import Message, notification

            return notification(record, Message())
