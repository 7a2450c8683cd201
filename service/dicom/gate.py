"""Checks that a data set is a frontal chest radiograph for presentation, and lists every reason why it is not."""

from pydicom import Dataset

from service.dicom.age import age
from service.dicom.body_part import body_part
from service.dicom.elements import frame_count, integer, text
from service.dicom.geometry import directions
from service.dicom.outcome import Outcome, refusal
from service.dicom.policy import Policy
from service.dicom.view import view
from service.errors import Reason, UnsuitableImage

MIN_SIDE, LOW_SIDE = 256, 512  # pixels of the shorter side: fewer are refused, and flagged

_PROCESSING_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image Storage - For Processing
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography
    "1.2.840.10008.5.1.4.1.1.1.3.1",  # Digital Intra-Oral
)


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
    if text(dataset, "Modality").upper() in ("CR", "DX"):
        return None
    return refusal("modality_unsuitable", "Modality", "must be CR or DX")


def orientation(dataset: Dataset) -> Outcome:
    """Flag any orientation but left to the right and feet down: the image is not rotated."""
    main = tuple(direction[:1] for direction in directions(dataset))
    return "orientation_unusual" if any(main) and main != ("L", "F") else None


def frames(dataset: Dataset) -> Outcome:
    """There must be one frame."""
    if frame_count(dataset) == 1:
        return None
    return refusal("multi_frame", "NumberOfFrames", "must be 1")


def intent(dataset: Dataset) -> Outcome:
    """The image must be for presentation; CR and secondary capture objects have no such attribute."""
    intent_type = text(dataset, "PresentationIntentType").upper()
    if intent_type == "FOR PRESENTATION":
        return None
    if intent_type:
        return refusal("for_processing", "PresentationIntentType", "must be FOR PRESENTATION")
    if text(dataset, "SOPClassUID") in _PROCESSING_CLASSES:
        return refusal("for_processing", "SOPClassUID", "must be of an image for presentation")
    return "presentation_intent_missing"


def colour(dataset: Dataset) -> Outcome:
    """The image must be greyscale: MONOCHROME1 or MONOCHROME2, one sample a pixel."""
    grey = text(dataset, "PhotometricInterpretation").upper() in ("MONOCHROME1", "MONOCHROME2")
    if grey and integer(dataset, "SamplesPerPixel", 1) == 1:
        return None
    return refusal("colour_image", "PhotometricInterpretation", "must be MONOCHROME1 or MONOCHROME2 with one sample")


def size(dataset: Dataset) -> Outcome:
    """The shorter side must have `MIN_SIDE` pixels; fewer than `LOW_SIDE` are flagged."""
    shorter = min(integer(dataset, "Rows"), integer(dataset, "Columns"))
    if shorter < MIN_SIDE:
        return Reason(
            "image_too_small", f"(0028,0010) Rows and (0028,0011) Columns must be at least {MIN_SIDE}, got {shorter}"
        )
    return "low_resolution" if shorter < LOW_SIDE else None


def annotation(dataset: Dataset) -> Outcome:
    """Flag text that is burned into the pixels."""
    return "burned_in_annotation" if text(dataset, "BurnedInAnnotation").upper() == "YES" else None
