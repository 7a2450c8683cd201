"""Box and text as a graphic layer over the radiograph, as a Grayscale Softcopy Presentation State."""

import numpy as np
from highdicom import pr
from highdicom.content import PresentationLUTTransformation
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from service.objects.derived import file, identity, remarks
from service.objects.header import numbers, word
from service.objects.lut import modality_table, voi_table
from service.objects.report import Report
from service.objects.source import Source, aspect

KIND = "presentation_state"


def presentation_state(report: Report, source: Source) -> bytes:
    """Render a DICOM GSPS file: the radiograph in its own window, with the box and a few lines of text."""
    images = [source.header]
    layer = pr.GraphicLayer("AI", 1, description="AG-CNN triage, research use only")
    annotation = pr.GraphicAnnotation(
        referenced_images=images,
        graphic_layer=layer,
        graphic_objects=[_box(report)],
        text_objects=[_text(report)],
    )
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=images,
        content_label="AI_ATTENTION",
        content_description="Attention of the network, not an outline of disease",
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        presentation_lut_transformation=PresentationLUTTransformation(presentation_lut_shape=_shape(source.image)),
        **identity(report, KIND, 9904, "attention box"),
    )
    state.BodyPartExamined = "CHEST"
    _shade(state, source.image)
    _display(state, source.image)
    return file(state, report, source)


def _box(report: Report) -> pr.GraphicObject:
    x0, y0, x1, y1 = report.box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float32)  # PS3.3 C.10.5.1.2: edges
    return pr.GraphicObject(
        "POLYLINE", corners, "PIXEL", tracking_id="Attention", tracking_uid=report.uid(f"{KIND}/box")
    )


def _text(report: Report) -> pr.TextObject:
    """In the upper left corner of what is displayed, where neither box nor lung is likely to be."""
    positive = [f"{one.label} {one.probability:.0%}" for one in report.findings if one.positive]
    lines = [f"AI priority {report.priority}", *(positive or ["Nothing at or over its threshold"]), *remarks(report)]
    text = "\r\n".join(lines)
    return pr.TextObject(
        text[:1024],  # ST
        "DISPLAY",
        bounding_box=(0.01, 0.01, 0.5, min(0.99, 0.03 * len(lines) + 0.01)),
        text_justification="LEFT",
    )


def _shape(image: Dataset) -> str:
    """The one inversion that the radiograph asks for: a presentation state takes the place of its polarity."""
    shape = word(image, "PresentationLUTShape")
    if shape in ("INVERSE", "IDENTITY"):
        return shape
    return "INVERSE" if word(image, "PhotometricInterpretation") == "MONOCHROME1" else "IDENTITY"


def _shade(state: Dataset, image: Dataset) -> None:
    """Modality LUT and VOI as the radiograph has them, the first of several; where it has none, a viewer chooses."""
    if table := modality_table(image):
        state.ModalityLUTSequence = [table]
        table.ModalityLUTType = word(image.ModalityLUTSequence[0], "ModalityLUTType") or "US"  # unspecified
    elif slope := numbers(image, "RescaleSlope"):
        intercept = numbers(image, "RescaleIntercept") or (0.0,)
        state.RescaleSlope, state.RescaleIntercept = _decimal(slope[0]), _decimal(intercept[0])
        state.RescaleType = word(image, "RescaleType") or "US"
    voi = Dataset()
    centres, widths = numbers(image, "WindowCenter"), numbers(image, "WindowWidth")
    function = word(image, "VOILUTFunction") or "LINEAR"
    if table := voi_table(image):
        voi.VOILUTSequence = [table]
    elif centres and widths and widths[0] >= (1 if function == "LINEAR" else 1e-9):  # PS3.3 C.11.2.1.2.1
        voi.WindowCenter, voi.WindowWidth = _decimal(centres[0]), _decimal(widths[0])
        voi.VOILUTFunction = function if function in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"
    else:
        return
    state.SoftcopyVOILUTSequence = [voi]


def _display(state: Dataset, image: Dataset) -> None:
    """The whole radiograph, its pixels in their own shape; highdicom takes them for square."""
    area = state.DisplayedAreaSelectionSequence[0]
    area.PresentationPixelAspectRatio = list(aspect(image) or (1, 1))


def _decimal(value: float) -> str:
    """A number in the sixteen characters of a DS."""
    return format_number_as_ds(value)
