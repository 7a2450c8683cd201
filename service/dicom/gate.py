"""Checks that a data set is a frontal chest radiograph for presentation, and lists every reason why it is not."""

import re
from collections.abc import Callable

from pydicom import Dataset

from service.dicom.elements import frame_count, integer, items, name, text
from service.dicom.geometry import directions
from service.errors import Reason, UnsuitableImage

MIN_SIDE, LOW_SIDE = 256, 512  # pixels of the shorter side: fewer are refused, and flagged

Outcome = Reason | str | None  # a refusal, a flag, or neither

_CHEST = {"CHEST", "THORAX", "LUNG", "LUNGS", "CXR", "TORAX", "TORACE", "LUNGE"}
_FRONTAL = {"PA", "AP", "FRONT", "FRONTAL", "POSTEROANTERIOR", "ANTEROPOSTERIOR"}
_QUALIFIERS = {
    *("PORT", "PORTABLE", "MOBILE", "BED", "BEDSIDE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SUPINE"),
    *("SEMI", "INSPIRATION", "EXPIRATION", "INSP", "EXP", "ADULT", "XR", "CR", "DX", "DR"),
    *("VIEW", "VIEWS", "1", "2", "1V", "2V"),
}
_LATERAL = {"LAT", "LATERAL", "LL", "RL", "LLAT", "RLAT", "OBLIQUE", "OBL", "DECUBITUS", "DECUB", "LLD", "RLD"}
_OTHER_PARTS = {
    *("TEETH", "TOOTH", "DENTAL", "SKULL", "HEAD", "NECK", "SPINE", "CSPINE", "TSPINE", "LSPINE", "ABDOMEN", "PELVIS"),
    *("HIP", "HIPS", "LEG", "FEMUR", "KNEE", "KNEES", "ANKLE", "FOOT", "FEET", "TOE", "SHOULDER", "ARM", "HUMERUS"),
    *("ELBOW", "FOREARM", "WRIST", "HAND", "HANDS", "FINGER", "EXTREMITY", "BREAST", "ABD", "ABDO", "RIB", "RIBS"),
}
_SNOMED = ("SCT", "SRT", "SNM3", "99SDM")
_CHEST_CODES = {"816094009", "51185008", "39607008", "T-D3000", "T-28000"}  # chest, thorax, lung: PS3.16 CID 4009
_FRONTAL_CODES = {"399348003", "272479007", "399033003", "R-10206", "R-10214", "R-40888", "R-10202"}  # PS3.16 CID 4010
_PROCESSING_CLASSES = (
    "1.2.840.10008.5.1.4.1.1.1.1.1",  # Digital X-Ray Image Storage - For Processing
    "1.2.840.10008.5.1.4.1.1.1.2.1",  # Digital Mammography
    "1.2.840.10008.5.1.4.1.1.1.3.1",  # Digital Intra-Oral
)


def accept(dataset: Dataset) -> tuple[str, ...]:
    """Check a data set against every rule.

    Returns
    -------
    Flags: what the rules could not verify, or what the reader of a result should know.

    Raises
    ------
    UnsuitableImage
        All reasons, in the order of `RULES`.
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    outcomes = [rule(dataset) for rule in RULES]
    reasons = tuple(outcome for outcome in outcomes if isinstance(outcome, Reason))
    if reasons:
        raise UnsuitableImage(reasons)
    return tuple(outcome for outcome in outcomes if isinstance(outcome, str))


def modality(dataset: Dataset) -> Outcome:
    """Modality must be CR or DX; any SOP class is allowed, as secondary captures of radiographs are common."""
    if text(dataset, "Modality").upper() in ("CR", "DX"):
        return None
    return _refusal("modality_unsuitable", "Modality", "must be CR or DX")


def body_part(dataset: Dataset) -> Outcome:
    """The body part must be the chest, by name, or else by code; a description can only refuse it."""
    words = _words(dataset, "BodyPartExamined")
    if words or text(dataset, "BodyPartExamined"):
        chest = bool(words & _CHEST) and not words & _OTHER_PARTS
        return None if chest else _refusal("body_part_unsuitable", "BodyPartExamined", "must be the chest alone")
    codes = _codes(dataset, "AnatomicRegionSequence")
    if codes & _CHEST_CODES:
        return None
    if codes:
        return _refusal("body_part_unsuitable", "AnatomicRegionSequence", "must be the chest")
    for keyword in ("SeriesDescription", "StudyDescription"):  # a study may cover several parts: the series first
        described = _words(dataset, keyword)
        if described & _CHEST:
            break
        if described & _OTHER_PARTS:
            return _refusal("body_part_unsuitable", keyword, "must not name another body part")
    return "body_part_missing"


def view(dataset: Dataset) -> Outcome:
    """The view must be frontal, by name or code; an orientation or, without those two, a description can refuse it."""
    words = _words(dataset, "ViewPosition")
    if (words or text(dataset, "ViewPosition")) and not (words & _FRONTAL and words <= _FRONTAL | _QUALIFIERS | _CHEST):
        return _refusal("view_unsuitable", "ViewPosition", "must be PA or AP")
    codes = _codes(dataset, "ViewCodeSequence")
    if codes and not codes & _FRONTAL_CODES:
        return _refusal("view_unsuitable", "ViewCodeSequence", "must be a frontal view")
    if any(direction[:1] in ("A", "P") for direction in directions(dataset)):
        return _refusal("view_unsuitable", "PatientOrientation", "must be that of a frontal view")
    if words or codes:
        return None
    for keyword in ("SeriesDescription", "BodyPartExamined"):
        described = _words(dataset, keyword)
        if described & _LATERAL and not described & _FRONTAL:
            return _refusal("view_unsuitable", keyword, "must not name another view")
    return "view_position_missing"


def orientation(dataset: Dataset) -> Outcome:
    """Flag any orientation but left to the right and feet down: the image is not rotated."""
    main = tuple(direction[:1] for direction in directions(dataset))
    return "orientation_unusual" if any(main) and main != ("L", "F") else None


def frames(dataset: Dataset) -> Outcome:
    """There must be one frame."""
    if frame_count(dataset) == 1:
        return None
    return _refusal("multi_frame", "NumberOfFrames", "must be 1")


def intent(dataset: Dataset) -> Outcome:
    """The image must be for presentation; CR and secondary capture objects have no such attribute."""
    intent_type = text(dataset, "PresentationIntentType").upper()
    if intent_type == "FOR PRESENTATION":
        return None
    if intent_type:
        return _refusal("for_processing", "PresentationIntentType", "must be FOR PRESENTATION")
    if text(dataset, "SOPClassUID") in _PROCESSING_CLASSES:
        return _refusal("for_processing", "SOPClassUID", "must be of an image for presentation")
    return "presentation_intent_missing"


def colour(dataset: Dataset) -> Outcome:
    """The image must be greyscale: MONOCHROME1 or MONOCHROME2, one sample a pixel."""
    grey = text(dataset, "PhotometricInterpretation").upper() in ("MONOCHROME1", "MONOCHROME2")
    if grey and integer(dataset, "SamplesPerPixel", 1) == 1:
        return None
    return _refusal("colour_image", "PhotometricInterpretation", "must be MONOCHROME1 or MONOCHROME2 with one sample")


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


RULES: tuple[Callable[[Dataset], Outcome], ...] = (
    modality,
    body_part,
    view,
    frames,
    intent,
    colour,
    size,
    orientation,
    annotation,
)


def _refusal(code: str, keyword: str, rule: str) -> Reason:
    return Reason(code, f"{name(keyword)} {rule}")


def _words(dataset: Dataset, keyword: str) -> set[str]:
    """Words in capitals; `P-A`, `P.A.` and `POSTERO-ANTERIOR` are one word, `CHEST_PA` two."""
    joined = re.sub(r"\b(P)[-./](A)\b\.?|\b(A)[-./](P)\b\.?", r"\1\2\3\4", text(dataset, keyword).upper())
    joined = re.sub(r"\b(POSTERO|ANTERO)[-./ ](ANTERIOR|POSTERIOR)\b", r"\1\2", joined)
    return set(re.findall(r"[A-Z0-9]+", joined))


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    """SNOMED codes of a code sequence; codes of other schemes are ignored."""
    coded = items(dataset, keyword)
    return {text(item, "CodeValue") for item in coded if text(item, "CodingSchemeDesignator").upper() in _SNOMED}
