"""One call for every kind of object: a record and its radiograph to a file."""

import warnings
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.config import disable_value_validation

from service.objects.kinds import Kind
from service.objects.report import Report

View = Callable[[], npt.NDArray[np.uint8]]


def render(image: Dataset, view: View, kind: Kind, report: Report) -> bytes:
    """Render an object: a Part 10 file, or JSON for FHIR.

    Parameters
    ----------
    image
        Data set of the radiograph, accepted by the gate; its pixel data are not used.
    view
        Returns the display values, [H, W] uint8; called only by the kind that shows them.
    """
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")  # they quote values
        return _render(image, view, kind, report)


def _render(image: Dataset, view: View, kind: Kind, report: Report) -> bytes:
    # Imported here, by the process that renders: highdicom is needed neither to start the service nor to answer.
    from service.objects.source import source_of

    source = source_of(image)
    match kind:
        case Kind.SR:
            from service.objects.structured_report import structured_report

            return structured_report(report, source)
        case Kind.SEGMENTATION:
            from service.objects.segmentation import segmentation

            return segmentation(report, source)
        case Kind.SECONDARY_CAPTURE:
            from service.objects.secondary_capture import secondary_capture

            return secondary_capture(report, source, view())
        case Kind.PRESENTATION_STATE:
            from service.objects.presentation_state import presentation_state

            return presentation_state(report, source)
        case Kind.FHIR:
            from service.objects.fhir import fhir

            return fhir(report, source)
