"""Checks that a data set is a frontal chest radiograph for presentation, and lists every reason why it is not."""

from collections.abc import Container

from pydicom import Dataset

from service.dicom.age import age
from service.dicom.body_part import body_part
from service.dicom.elements import frame_count, integer, text
from service.dicom.geometry import directions
from service.dicom.outcome import Outcome, refusal, stated
from service.dicom.policy import Policy
from service.dicom.view import view
from service.errors import Reason, UnsuitableImage

MIN_SIDE, LOW_SIDE = 256, 512  # pixels of the shorter side: fewer are refused, and flagged

_PROCESSING_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1.1.1": "Digital X-Ray Image Storage - For Processing",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "Digital Mammography X-Ray Image Storage - For Processing",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "Digital Intra-Oral X-Ray Image Storage - For Processing",
}
# Terms that a refusal may quote: PS3.3 C.7.3.1.1.1 (those of images), C.8.11.7.1.1 and C.7.6.3.1.2
_MODALITIES = {
    *("BI", "CT", "ES", "GM", "IO", "IVUS", "MG", "MR", "NM", "OCT", "OP", "OT", "PR", "PT", "PX", "RF", "RG"),
    *("RTIMAGE", "SC", "SEG", "SM", "SR", "US", "XA", "XC"),
}
_INTENTS = {"FOR PROCESSING"}
_PHOTOMETRIC = {
    *("PALETTE COLOR", "RGB", "HSV", "ARGB", "CMYK", "XYB"),
    *("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"),
}


def accept(dataset: Dataset, policy: Policy = Policy()) -> tuple[str, ...]:  # noqa: B008 (frozen)
    """Check a data set against every rule.

    Returns
    -------
    Flags: what the rules could not verify, or what the reader of a result should know.

    Raises
    ------
    UnsuitableImage
        All reasons.
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    outcomes = (
        modality(dataset),
        body_part(dataset, policy.vocabulary),
        view(dataset, policy.vocabulary),
        frames(dataset),
        intent(dataset),
        colour(dataset),
        size(dataset),
        orientation(dataset),
        annotation(dataset),
        age(dataset, policy),
    )
    reasons = tuple(outcome for outcome in outcomes if isinstance(outcome, Reason))
    if reasons:
        raise UnsuitableImage(reasons)
    return tuple(outcome for outcome in outcomes if isinstance(outcome, str))


def modality(dataset: Dataset) -> Outcome:
    """Modality must be CR or DX; any SOP class is allowed, as secondary captures of radiographs are common."""
    value = text(dataset, "Modality").upper()
    if value in ("CR", "DX"):
        return None
    return refusal("modality_unsuitable", "Modality", _stated(value, _MODALITIES), "CR or DX")


def orientation(dataset: Dataset) -> Outcome:
    """Flag any orientation but left to the right and feet down: the image is not rotated."""
    main = tuple(direction[:1] for direction in directions(dataset))
    return "orientation_unusual" if any(main) and main != ("L", "F") else None


def frames(dataset: Dataset) -> Outcome:
    """There must be one frame."""
    if frame_count(dataset) == 1:
        return None
    return refusal("multi_frame", "NumberOfFrames", "is above 1", "a single image")


def intent(dataset: Dataset) -> Outcome:
    """The image must be for presentation; CR and secondary capture objects have no such attribute."""
    intent_type = text(dataset, "PresentationIntentType").upper()
    if intent_type == "FOR PRESENTATION":
        return None
    if intent_type:
        return refusal(
            "for_processing", "PresentationIntentType", _stated(intent_type, _INTENTS), "an image FOR PRESENTATION"
        )
    sop_class = _PROCESSING_CLASSES.get(text(dataset, "SOPClassUID"))
    if sop_class is not None:
        return refusal("for_processing", "SOPClassUID", f"is {sop_class}", "an image for presentation")
    return "presentation_intent_missing"


def colour(dataset: Dataset) -> Outcome:
    """The image must be greyscale: MONOCHROME1 or MONOCHROME2, one sample a pixel."""
    value, expected = (
        text(dataset, "PhotometricInterpretation").upper(),
        "a greyscale image, MONOCHROME1 or MONOCHROME2,",
    )
    if value not in ("MONOCHROME1", "MONOCHROME2"):
        return refusal("colour_image", "PhotometricInterpretation", _stated(value, _PHOTOMETRIC), expected)
    if integer(dataset, "SamplesPerPixel", 1) != 1:
        return refusal("colour_image", "SamplesPerPixel", "is not 1", expected)
    return None


def size(dataset: Dataset) -> Outcome:
    """The shorter side must have `MIN_SIDE` pixels; fewer than `LOW_SIDE` are flagged."""
    shorter = min(integer(dataset, "Rows"), integer(dataset, "Columns"))
    if shorter < MIN_SIDE:
        return Reason(
            "image_too_small",
            f"The shorter of (0028,0010) Rows and (0028,0011) Columns is {shorter}; at least {MIN_SIDE} is expected",
        )
    return "low_resolution" if shorter < LOW_SIDE else None


def annotation(dataset: Dataset) -> Outcome:
    """Flag text that is burned into the pixels."""
    return "burned_in_annotation" if text(dataset, "BurnedInAnnotation").upper() == "YES" else None


def _stated(value: str, terms: Container[str]) -> str:
    return stated(value, value if value in terms else "")
