"""Whether an image shows the chest: the attributes of the body part, then descriptions."""

from collections.abc import Set as AbstractSet

from pydicom import Dataset

from service.dicom.description import IMAGE_DESCRIPTIONS, STUDY_DESCRIPTIONS, Code, code_string, codes, description
from service.dicom.outcome import Outcome, refusal, stated
from service.dicom.vocabulary import Meaning, Vocabulary

# Chest, thorax, lung: PS3.16 CID 4, CID 4009 and CID 4031, and the codes that earlier editions had for them
CHEST_CODES = {"816094009", "51185008", "39607008", "T-D3000", "T-28000"}
_SILENT = {Meaning.UNKNOWN, Meaning.NEUTRAL}  # what says nothing of the body part
_CODE = "body_part_unsuitable"
_ANOTHER = "names another part of the body"


def body_part(dataset: Dataset, vocabulary: Vocabulary) -> Outcome:
    """The body part must be the chest, by name, or else by code; a description can only refuse it."""
    value = code_string(dataset, "BodyPartExamined")
    said = vocabulary.meanings(value)
    chest, other = _region(dataset, vocabulary)
    if not said <= _SILENT:
        if Meaning.CHEST not in said or Meaning.OTHER_PART in said:
            expected = "a chest alone" if Meaning.CHEST in said else "a chest"
            return refusal(_CODE, "BodyPartExamined", stated(value, vocabulary.quotable(value)), expected)
        return refusal(_CODE, "AnatomicRegionSequence", _ANOTHER, "a chest") if other else None
    if chest:
        return None
    if other or any(code.is_snomed for code in codes(dataset, "AnatomicRegionSequence")):
        return refusal(_CODE, "AnatomicRegionSequence", _ANOTHER, "a chest")
    return _described(dataset, vocabulary)


def is_chest(dataset: Dataset, vocabulary: Vocabulary) -> bool:
    """Whether an attribute of the body part, rather than a description, states the chest."""
    named = Meaning.CHEST in vocabulary.meanings(code_string(dataset, "BodyPartExamined"))
    return named or _region(dataset, vocabulary)[0]


def _region(dataset: Dataset, vocabulary: Vocabulary) -> tuple[bool, bool]:
    """Whether the codes of the region name the chest alone, and whether one names another part."""
    named = [_coded(code, vocabulary) for code in codes(dataset, "AnatomicRegionSequence")]
    other = any(Meaning.OTHER_PART in said for said in named)
    return not other and any(Meaning.CHEST in said for said in named), other


def _coded(code: Code, vocabulary: Vocabulary) -> AbstractSet[Meaning]:
    """What a code says, or else its meaning; in SNOMED, where every vessel has a code, only if all words are known."""
    if code.is_snomed and code.value in CHEST_CODES:
        return {Meaning.CHEST}
    said = vocabulary.meanings(code.meaning)
    return said - {Meaning.CHEST} if code.is_snomed and Meaning.UNRECOGNISED in said else said


def _described(dataset: Dataset, vocabulary: Vocabulary) -> Outcome:
    """An examination may cover several parts: the descriptions of the image come first."""
    for keyword in (*IMAGE_DESCRIPTIONS, *STUDY_DESCRIPTIONS):
        said = vocabulary.meanings(description(dataset, keyword))
        if Meaning.CHEST in said:
            break
        if Meaning.OTHER_PART in said:
            return refusal(_CODE, keyword, _ANOTHER, "a chest")
    return "body_part_missing"
