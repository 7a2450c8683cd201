"""Is this data set a frontal chest radiograph meant for display? Every reason against it at once."""

import re
from collections.abc import Callable

from pydicom import Dataset

from service.dicom.elements import integer, items, name, text, texts
from service.errors import Reason, UnsuitableImage

SMALLEST, SMALL = 256, 512  # pixels of the shorter side: refused below, flagged below

Outcome = Reason | str | None  # a refusal, a flag, or nothing to say

_CHEST = {"CHEST", "THORAX", "LUNG", "LUNGS", "CXR", "TORAX", "TORACE", "LUNGE"}
_FRONTAL = {"PA", "AP", "FRONT", "FRONTAL", "POSTEROANTERIOR", "ANTEROPOSTERIOR"}
_QUALIFIERS = {
    *("PORT", "PORTABLE", "MOBILE", "BED", "BEDSIDE", "ERECT", "UPRIGHT", "STANDING", "SITTING", "SUPINE"),
    *("SEMI", "INSPIRATION", "EXPIRATION", "INSP", "EXP", "ADULT", "XR", "CR", "DX", "DR"),
    *("VIEW", "VIEWS", "1", "2", "1V", "2V"),
}
_LATERAL = {"LAT", "LATERAL", "LL", "RL", "LLAT", "RLAT", "OBLIQUE", "OBL", "DECUBITUS", "DECUB", "LLD", "RLD"}
_ELSEWHERE = {
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
    """Hold a data set against every rule.

    Returns
    -------
    Flags: what the rules could not make sure of, or what the reader of a result should know.

    Raises
    ------
    UnsuitableImage
        With all reasons, in the order of `RULES`.
    MalformedDicom
        `element_missing`, `value_invalid`.
    """
    outcomes = [rule(dataset) for rule in RULES]
    reasons = tuple(outcome for outcome in outcomes if isinstance(outcome, Reason))
    if reasons:
        raise UnsuitableImage(reasons)
    return tuple(outcome for outcome in outcomes if isinstance(outcome, str))


def modality(dataset: Dataset) -> Outcome:
    """CR or DX, whatever the SOP class: secondary captures of radiographs are common."""
    if text(dataset, "Modality").upper() in ("CR", "DX"):
        return None
    return _refusal("modality_unsuitable", "Modality", "CR or DX")


def body_part(dataset: Dataset) -> Outcome:
    """Chest, by name, or else by code; a description can only speak against it."""
    words = _words(dataset, "BodyPartExamined")
    if words or text(dataset, "BodyPartExamined"):
        chest = bool(words & _CHEST) and not words & _ELSEWHERE
        return None if chest else _refusal("body_part_unsuitable", "BodyPartExamined", "a chest")
    codes = _codes(dataset, "AnatomicRegionSequence")
    if codes:
        return None if codes & _CHEST_CODES else _refusal("body_part_unsuitable", "AnatomicRegionSequence", "a chest")
    for keyword in ("SeriesDescription", "StudyDescription"):  # a study may be of several parts, the series tells more
        described = _words(dataset, keyword)
        if described & _CHEST:
            break
        if described & _ELSEWHERE:
            return _refusal("body_part_unsuitable", keyword, "a chest")
    return "body_part_missing"


def view(dataset: Dataset) -> Outcome:
    """Frontal, by name or code; against it may also speak the orientation or, where these are silent, a description."""
    words = _words(dataset, "ViewPosition")
    if (words or text(dataset, "ViewPosition")) and not (words & _FRONTAL and words <= _FRONTAL | _QUALIFIERS | _CHEST):
        return _refusal("view_unsuitable", "ViewPosition", "PA or AP")
    codes = _codes(dataset, "ViewCodeSequence")
    if codes and not codes & _FRONTAL_CODES:
        return _refusal("view_unsuitable", "ViewCodeSequence", "a frontal view")
    if any(direction[:1] in ("A", "P") for direction in texts(dataset, "PatientOrientation")):
        return _refusal("view_unsuitable", "PatientOrientation", "a frontal view")
    if words or codes:
        return None
    for keyword in ("SeriesDescription", "BodyPartExamined"):
        described = _words(dataset, keyword)
        if described & _LATERAL and not described & _FRONTAL:
            return _refusal("view_unsuitable", keyword, "a frontal view")
    return "view_position_missing"


def orientation(dataset: Dataset) -> Outcome:
    """Flagged unless the patient's left is on the right and feet are down: nothing is turned here."""
    directions = tuple(direction[:1] for direction in texts(dataset, "PatientOrientation"))
    return "orientation_unusual" if any(directions) and directions != ("L", "F") else None


def frames(dataset: Dataset) -> Outcome:
    """One."""
    if integer(dataset, "NumberOfFrames", 1) == 1:
        return None
    return _refusal("multi_frame", "NumberOfFrames", "one frame")


def intent(dataset: Dataset) -> Outcome:
    """FOR PRESENTATION; CR and secondary capture do not say."""
    stated = text(dataset, "PresentationIntentType").upper()
    if stated == "FOR PRESENTATION":
        return None
    if stated:
        return _refusal("for_processing", "PresentationIntentType", "FOR PRESENTATION")
    if text(dataset, "SOPClassUID") in _PROCESSING_CLASSES:
        return _refusal("for_processing", "SOPClassUID", "an image for presentation")
    return "presentation_intent_missing"


def colour(dataset: Dataset) -> Outcome:
    """Grey: MONOCHROME1 or MONOCHROME2, one sample a pixel."""
    grey = text(dataset, "PhotometricInterpretation").upper() in ("MONOCHROME1", "MONOCHROME2")
    if grey and integer(dataset, "SamplesPerPixel", 1) == 1:
        return None
    return _refusal("colour_image", "PhotometricInterpretation", "MONOCHROME1 or MONOCHROME2")


def size(dataset: Dataset) -> Outcome:
    """At least `SMALLEST` on the shorter side; flagged below `SMALL`."""
    shorter = min(integer(dataset, "Rows"), integer(dataset, "Columns"))
    if shorter < SMALLEST:
        return Reason("image_too_small", f"Rows and Columns: at least {SMALLEST} wanted, got {shorter}")
    return "low_resolution" if shorter < SMALL else None


def annotation(dataset: Dataset) -> Outcome:
    """Letters burned into the pixels are no anatomy."""
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


def _refusal(code: str, keyword: str, wanted: str) -> Reason:
    return Reason(code, f"{name(keyword)}: {wanted} wanted, got another or none")


def _words(dataset: Dataset, keyword: str) -> set[str]:
    """Upper-case words; `P-A`, `P.A.` and `POSTERO-ANTERIOR` are one, `CHEST_PA` two."""
    joined = re.sub(r"\b(P)[-./](A)\b\.?|\b(A)[-./](P)\b\.?", r"\1\2\3\4", text(dataset, keyword).upper())
    joined = re.sub(r"\b(POSTERO|ANTERO)[-./ ](ANTERIOR|POSTERIOR)\b", r"\1\2", joined)
    return set(re.findall(r"[A-Z0-9]+", joined))


def _codes(dataset: Dataset, keyword: str) -> set[str]:
    """SNOMED codes of a code sequence; other schemes say nothing to us."""
    coded = items(dataset, keyword)
    return {text(item, "CodeValue") for item in coded if text(item, "CodingSchemeDesignator").upper() in _SNOMED}
