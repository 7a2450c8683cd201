import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.dicom.vocabulary import Meaning, Vocabulary, units
from service.dicom.words import ROWS, SHIPPED

CHEST, PART, FRONTAL, LATERAL = Meaning.CHEST, Meaning.OTHER_PART, Meaning.FRONTAL, Meaning.LATERAL
OTHER, SEVERAL, NEUTRAL, UNRECOGNISED = Meaning.OTHER_VIEW, Meaning.SEVERAL, Meaning.NEUTRAL, Meaning.UNRECOGNISED

WORDS = [(row.meaning, word) for row in ROWS for word in row.words.split(", ")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("TÓRAX", ("torax",)),
        ("T\u006f\u0301rax", ("torax",)),  # o and a combining accent
        ("P.A./LAT", ("p", "a", "lat")),
        ("CHEST2VIEWS", ("chest", "2", "views")),
        ("CHEST_PA", ("chest", "pa")),
        ("ＣＨＥＳＴ", ("chest",)),  # full width
        ("ﾎﾟｰﾀﾌﾞﾙ", ("ホ", "ー", "タ", "フ", "ル")),  # half width; voicing marks are accents
        ("胸部PA", ("胸", "部", "pa")),
        ("흉부", ("흉", "부")),
        ("PŁUCA Übersicht Fuß Skrå", ("pluca", "ubersicht", "fuss", "skra")),
        ("AKCİĞER akcığer", ("akciger", "akciger")),
        ("Боковой", ("боковои",)),
        ("ΠΡΟΦΊΛ προφίλ", ("προφιλ", "προφιλ")),
        ("PA + LAT", ("pa", "+", "lat")),
        ("la\u00adte\u200bral", ("lateral",)),  # soft hyphen and zero-width space
        ("\u202bصَدر\u202c", ("صدر",)),  # direction marks, and a vowel sign
        (" - ", ()),
    ],
)
def test_units(text: str, expected: tuple[str, ...]) -> None:
    assert units(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        ("  ", set()),
        ("-", {UNRECOGNISED}),
        ("Canary", {UNRECOGNISED}),
        ("CHEST Canary", {CHEST, UNRECOGNISED}),
        ("CHESTAP", {CHEST, FRONTAL}),
        ("THORAXPA", {CHEST, FRONTAL}),
        ("CHESTLAT", {CHEST, LATERAL}),
        ("CHESTABDOMEN", {CHEST, PART}),
        ("Röntgenthorax", {CHEST, NEUTRAL}),
        ("CHESTNUT", {UNRECOGNISED}),  # a rest that is no word
        ("PALAT", {UNRECOGNISED}),  # no word for a chest
        ("CXRPA", {UNRECOGNISED}),  # too short a word for a chest
        ("BILATERAL", {UNRECOGNISED}),  # whole words only
        ("Thoracic spine", {UNRECOGNISED, PART}),
        ("knöcherner Thorax", {PART}),  # the longest entry counts
        ("bony thorax", {PART}),
        ("bed side", {NEUTRAL}),
        ("side", {LATERAL}),
        ("de pie", {NEUTRAL}),
        ("pie", {PART}),
        ("decúbito supino", {NEUTRAL}),
        ("decubito lateral", {OTHER}),
        ("胸椎", {PART}),
        ("胸部", {CHEST}),
        ("正侧位", {FRONTAL, LATERAL, NEUTRAL}),
        ("右側臥位", {UNRECOGNISED, OTHER, NEUTRAL}),
        ("仰卧位", {NEUTRAL}),
        ("PA and lateral", {FRONTAL, SEVERAL, LATERAL}),
    ],
)
def test_meanings(text: str, expected: set[Meaning]) -> None:
    assert SHIPPED.meanings(text) == expected


def test_a_word_of_a_site_replaces_that_of_the_table() -> None:
    vocabulary = SHIPPED.updated(Vocabulary.of([(NEUTRAL, "Side"), (CHEST, "Lunge und Herz")]))

    assert vocabulary.meanings("SIDE") == {NEUTRAL}
    assert vocabulary.meanings("LUNGE UND HERZ") == {CHEST}
    assert SHIPPED.meanings("side") == {LATERAL}


@given(text=st.text(max_size=200))
def test_any_text_has_meanings(text: str) -> None:
    assert bool(SHIPPED.meanings(text)) == bool(text.strip())


@given(word=st.sampled_from(WORDS), change=st.sampled_from([str.upper, str.lower, str.title]))
def test_case_and_accents_make_no_difference(word: tuple[Meaning, str], change) -> None:
    meaning, text = word
    plain = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))

    for form in (change(text), change(plain), unicodedata.normalize("NFD", change(text))):
        assert meaning in SHIPPED.meanings(form), form


@given(
    before=st.sampled_from(WORDS), after=st.sampled_from(WORDS), between=st.sampled_from([" - ", "/", ", ", "(", "."])
)
def test_known_words_are_never_unrecognised(before, after, between) -> None:
    assert UNRECOGNISED not in SHIPPED.meanings(before[1] + between + after[1])
