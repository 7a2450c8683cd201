"""Box and text as a graphic layer over the radiograph, as a Grayscale Softcopy Presentation State."""

import numpy as np
from highdicom import pr
from highdicom.content import PresentationLUTTransformation
from pydicom import Dataset
from pydicom.valuerep import format_number_as_ds

from service.dicom.decoder import decode
from service.dicom.levels import levels_of
from service.dicom.lut import Table, modality_item, voi_item
from service.dicom.presentation import Presentation, presentation
from service.dicom.window import Span, standard_window
from service.objects.derived import file, identity, remarks
from service.objects.kinds import Kind
from service.objects.product import NAME, uid
from service.objects.source import Source
from service.storage.record import Record


def presentation_state(record: Record, source: Source) -> bytes:
    """Render a DICOM GSPS file: the radiograph as `display` shows it, with a few lines of text and perhaps the box."""
    shown = presentation(lambda shutter: levels_of(decode(source.image), source.image, shutter), source.image)
    images = [source.header]
    layer = pr.GraphicLayer("AI", 1, description="AG-CNN triage, research use only")
    annotation = pr.GraphicAnnotation(
        referenced_images=images,
        graphic_layer=layer,
        graphic_objects=[_box(record)] if record.prediction.emphasises_box else None,
        text_objects=[_text(record)],
    )
    state = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=images,
        content_label="AI_ATTENTION",
        content_description="Attention of the network, not an outline of disease",
        content_creator_name=NAME,
        graphic_layers=[layer],
        graphic_annotations=[annotation],
        presentation_lut_transformation=PresentationLUTTransformation(
            presentation_lut_shape="INVERSE" if shown.inverse else "IDENTITY"
        ),
        **identity(record, Kind.PRESENTATION_STATE),
    )
    state.BodyPartExamined = "CHEST"
    _set_modality(state, shown)
    _set_voi(state, shown)
    _set_shutter(state, shown)
    (area,) = state.DisplayedAreaSelectionSequence
    area.PresentationPixelAspectRatio = list(shown.geometry.ratio)  # highdicom assumes square pixels
    return file(state, record, source)


def _box(record: Record) -> pr.GraphicObject:
    x0, y0, x1, y1 = record.prediction.box
    corners = np.array(
        [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], np.float32
    )  # edges of pixels, PS3.3 C.10.5.1.2
    return pr.GraphicObject(
        "POLYLINE",
        corners,
        "PIXEL",
        tracking_id="Attention",
        tracking_uid=uid(record.id, f"{Kind.PRESENTATION_STATE}/box"),
    )


def _text(record: Record) -> pr.TextObject:
    """Text in the upper left corner of the display, where neither box nor lung is likely to be."""
    findings = record.prediction.findings
    positive = [
        f"{one.label} {one.probability:.0%}" for one in findings if one.positive and one.probability is not None
    ]
    lines = [
        f"AI priority {record.prediction.priority}",
        *(positive or ["Nothing at or over its threshold"]),
        *remarks(record),
    ]
    text = "\r\n".join(lines)
    return pr.TextObject(
        text[:1024],  # ST
        "DISPLAY",
        bounding_box=(0.01, 0.01, 0.5, min(0.99, 0.03 * len(lines) + 0.01)),
        text_justification="LEFT",
    )


def _set_modality(state: Dataset, shown: Presentation) -> None:
    if shown.modality is None:
        return
    if isinstance(shown.modality, Table):
        state.ModalityLUTSequence = [modality_item(shown.modality)]
        state.ModalityLUTSequence[0].ModalityLUTType = shown.modality_type
        return
    slope, intercept = map(format_number_as_ds, shown.modality)
    state.RescaleSlope, state.RescaleIntercept, state.RescaleType = slope, intercept, shown.modality_type


def _set_shutter(state: Dataset, shown: Presentation) -> None:
    """Repeat the shutter: a presentation state stands for the image's own, PS3.4 N.2."""
    if shown.shutter is None:
        return
    state.ShutterShape = list(shown.shutter.shapes)
    for keyword, values in shown.shutter.elements.items():
        setattr(state, keyword, values)
    state.ShutterPresentationValue = 0  # black, PS3.3 C.11.12


def _set_voi(state: Dataset, shown: Presentation) -> None:
    """Set what `display` uses; a radiograph without a window has none here, too, and the viewer chooses."""
    voi = Dataset()
    if isinstance(shown.voi, Table):
        voi.VOILUTSequence = [voi_item(shown.voi)]
    elif isinstance(shown.voi, Span) and not {"window_width_invalid", "window_unusable"} & set(shown.flags):
        return
    else:
        window = standard_window(shown.voi)
        voi.WindowCenter, voi.WindowWidth = format_number_as_ds(window.centre), format_number_as_ds(window.width)
        voi.VOILUTFunction = window.function
    state.SoftcopyVOILUTSequence = [voi]
