"""Whether an image is a frontal view: the attributes of the view, then descriptions."""

from collections.abc import Set as AbstractSet

from pydicom import Dataset

from service.dicom.body_part import is_chest
from service.dicom.description import (
    IMAGE_DESCRIPTIONS,
    MAX_ITEMS,
    STUDY_DESCRIPTIONS,
    Code,
    code_string,
    codes,
    description,
)
from service.dicom.elements import items
from service.dicom.geometry import directions
from service.dicom.outcome import Outcome, refusal, stated
from service.dicom.vocabulary import Meaning, Vocabulary

# Antero-posterior, postero-anterior, frontal: PS3.16 CID 4010, and the codes that earlier editions had for them.
# All other codes of CID 4010 are of other views.
FRONTAL_CODES = {
    *("399348003", "272479007", "399066004", "399033003"),
    *("R-10206", "R-10214", "R-40888", "R-10202"),
}
# Crosstable, transoral, transforamenal, cephalad, transthoracic, transorbital, mouth closed: PS3.16 CID 4011 without
# caudad, as the tube is often tilted so for a chest at the bedside. A chest with the tube tilted cephalad is lordotic.
TURNING_CODES = {
    *("111069", "118438002", "272466003", "399196006", "272476000", "278318001", "286866000"),
    *("G-D00B", "R-4087B", "R-10244", "R-40885", "R-40554", "R-421A4"),
}
_ANOTHER = {Meaning.LATERAL, Meaning.OTHER_VIEW}
_SILENT = {Meaning.UNKNOWN, Meaning.NEUTRAL, Meaning.CHEST}  # what says nothing of the view
_CODE = "view_unsuitable"
_EXPECTED = "a frontal view"


def view(dataset: Dataset, vocabulary: Vocabulary) -> Outcome:
    """The view must be frontal, by name or code; an orientation or, without those two, a description can refuse it."""
    value = code_string(dataset, "ViewPosition")
    said = vocabulary.meanings(value)
    if not said <= _SILENT and not _is_frontal(said):
        return refusal(_CODE, "ViewPosition", stated(value, vocabulary.quotable(value)), "PA or AP")
    coded = [_coded(code, vocabulary) for code in codes(dataset, "ViewCodeSequence")]
    if False in coded and True not in coded:
        return refusal(_CODE, "ViewCodeSequence", "is of another view", _EXPECTED)
    if _is_turned(dataset, vocabulary):
        return refusal(_CODE, "ViewModifierCodeSequence", "turns the view", _EXPECTED)
    if any(code.is_snomed for code in codes(dataset, "ProjectionEponymousNameCodeSequence")):
        # PS3.16 CID 4012 has no name of a frontal view of the chest.
        return refusal(_CODE, "ProjectionEponymousNameCodeSequence", "names a special projection", _EXPECTED)
    if any(direction[:1] in ("A", "P") for direction in directions(dataset)):
        return refusal(_CODE, "PatientOrientation", "is that of a lateral view", _EXPECTED)
    if Meaning.FRONTAL in said or True in coded:
        return None
    return _described(dataset, vocabulary)


def _is_frontal(said: AbstractSet[Meaning]) -> bool:
    return Meaning.FRONTAL in said and not said & {*_ANOTHER, Meaning.OTHER_PART}


def _coded(code: Code, vocabulary: Vocabulary) -> bool | None:
    """Whether a code is of a frontal view; None where the code is of an unknown scheme and its meaning says nothing."""
    if code.is_snomed:
        return code.value in FRONTAL_CODES
    said = vocabulary.meanings(code.meaning)
    if _is_frontal(said):
        return True
    return False if said & _ANOTHER and Meaning.FRONTAL not in said else None


def _is_turned(dataset: Dataset, vocabulary: Vocabulary) -> bool:
    modifiers = [
        modifier
        for item in items(dataset, "ViewCodeSequence")[:MAX_ITEMS]
        for modifier in codes(item, "ViewModifierCodeSequence")
    ]
    return any(
        modifier.value in TURNING_CODES or bool(vocabulary.meanings(modifier.meaning) & _ANOTHER)
        for modifier in modifiers
    )


def _described(dataset: Dataset, vocabulary: Vocabulary) -> Outcome:
    """Refuse an image that a description says is another view; the first description that decides counts."""
    part = is_chest(dataset, vocabulary)  # else the rule of the body part reads the descriptions for parts
    for keyword in ("BodyPartExamined", *IMAGE_DESCRIPTIONS):
        said = vocabulary.meanings(description(dataset, keyword))
        if _is_another_image(said) or (part and _is_another_part(said)):
            return refusal(_CODE, keyword, "names another view", _EXPECTED)
        if _is_frontal(said):
            return "view_position_missing"
        part = part and (keyword == "BodyPartExamined" or Meaning.CHEST not in said)
    for keyword in STUDY_DESCRIPTIONS:
        said = vocabulary.meanings(description(dataset, keyword))
        if _is_another_study(said) or (part and _is_another_part(said) and Meaning.SEVERAL not in said):
            return refusal(_CODE, keyword, "names another view alone", _EXPECTED)
        if _is_frontal(said):
            break
    return "view_position_missing"


def _is_another_part(said: AbstractSet[Meaning]) -> bool:
    return Meaning.OTHER_PART in said and Meaning.CHEST not in said


def _is_another_study(said: AbstractSet[Meaning]) -> bool:
    """Whether no image of a study can be frontal: one of `CHEST PA AND LATERAL` can."""
    return bool(said & _ANOTHER) and not said & {Meaning.FRONTAL, Meaning.SEVERAL}


def _is_another_image(said: AbstractSet[Meaning]) -> bool:
    """Whether the description of one image says another view: `AP LORDOTIC` does, and `PA AND LATERAL` is of two."""
    if Meaning.FRONTAL not in said:
        return bool(said & _ANOTHER)
    return Meaning.OTHER_VIEW in said and not said & {Meaning.LATERAL, Meaning.SEVERAL}
