"""Coded concepts: items of code sequences, and the context groups of PS3.16 as pydicom has them."""

from collections.abc import Iterator

from pydicom import Dataset
from pydicom.sr._cid_dict import cid_concepts
from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

TO_SRT = {code: srt for srt, code in mapping["SRT"].items()}  # PS3.16 annex O


def context_group(number: int) -> Iterator[tuple[str, str, str]]:
    """Scheme, value and meaning of every code of a context group; SNOMED codes in both forms."""
    for scheme, names in cid_concepts[number].items():
        for keyword in names:
            for value, (meaning, groups) in concepts[scheme][keyword].items():
                if number in groups:
                    yield scheme, value, meaning
                    if value in TO_SRT:
                        yield "SRT", TO_SRT[value], meaning


def item(scheme: str, value: str, meaning: str = "Canary", **more: list[Dataset]) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    for keyword, value in more.items():
        setattr(code, keyword, value)
    return code
