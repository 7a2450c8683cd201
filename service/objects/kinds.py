"""Every form of an answer beside JSON and pictures: one name each, one call for all."""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.config import disable_value_validation

from service.objects.report import Report

Kind = Literal["sr", "segmentation", "secondary_capture", "presentation_state", "fhir"]
KINDS: tuple[Kind, ...] = ("sr", "segmentation", "secondary_capture", "presentation_state", "fhir")
View = Callable[[], npt.NDArray[np.uint8]]


def render(image: Dataset, view: View, kind: Kind, report: Report) -> bytes:
    """Render an object: a Part 10 file, or JSON for `fhir`.

    Parameters
    ----------
    image
        The radiograph's data set, accepted by the gate; its pixel data are not used.
    view
        Gives its display values, [H, W] uint8; called by the one kind that shows them.
    """
    with warnings.catch_warnings(), disable_value_validation():
        warnings.simplefilter("ignore")  # they quote values
        return _render(image, view, kind, report)


def _render(image: Dataset, view: View, kind: Kind, report: Report) -> bytes:
    # Imported by the process that renders: highdicom is not needed to start the service, nor to answer.
    from service.objects.source import source_of

    source = source_of(image)
    if kind == "sr":
        from service.objects.structured_report import structured_report

        return structured_report(report, source)
    if kind == "segmentation":
        from service.objects.segmentation import segmentation

        return segmentation(report, source)
    if kind == "secondary_capture":
        from service.objects.secondary_capture import secondary_capture

        return secondary_capture(report, source, view())
    if kind == "presentation_state":
        from service.objects.presentation_state import presentation_state

        return presentation_state(report, source)
    from service.objects.fhir import fhir

    return fhir(report, source)
