"""Names from the annexes of PS3.5, and Python's own codecs as the oracle for the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.charset import encode_string, python_encoding

from service.dicom import charset
from service.dicom.attributes import attributes
from service.dicom.charset import decode_text, repertoire_of, text_values
from service.dicom.reader import read
from tests.factories import dicom_bytes, ramp

IR_149 = b"\x1b$)C"
NAMES = {  # PS3.5 annexes H to K, and the shortest cases of other terms
    "Zhang^XiaoDong=张^小东": (
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab= ",
        ("", "ISO 2022 IR 58"),
    ),
    "Hong^Gildong=洪^吉洞=홍^길동": (
        b"Hong^Gildong=%b\xfb\xf3^%b\xd1\xce\xd4\xd7=%b\xc8\xab^%b\xb1\xe6\xb5\xbf" % ((IR_149,) * 4),
        ("", "ISO 2022 IR 149"),
    ),
    "Yamada^Tarou=山田^太郎=やまだ^たろう": (
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        ("", "ISO 2022 IR 87"),
    ),
    "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう": (
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
    ),
    "Buc^Jérôme": (b"Buc^J\xe9r\xf4me", ("ISO_IR 100",)),
    "Äneas^Rüdiger": (b"\xc4neas^R\xfcdiger", ("ISO_IR 100",)),
    "Διονυσιος": (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", ("ISO_IR 126",)),
    "Διονυσιος^J": (b"\x1b-F\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2^J", ("ISO 2022 IR 100", "ISO 2022 IR 126")),
    "Люкceмбypг": (b"\xbb\xee\xda\x63\x65\xdc\xd1\x79\x70\xd3", ("ISO_IR 144",)),
    "นาย": (b"\xb9\xd2\xc2", ("ISO_IR 166",)),
    "Cœur^€": (b"C\xbdur^\xa4", ("ISO_IR 203",)),
    "Wang^XiaoDong=王^小东": ("Wang^XiaoDong=王^小东".encode("gb18030"), ("GB18030",)),
    "Wang^XiaoDong=王^小东 ": ("Wang^XiaoDong=王^小东".encode("gbk"), ("GBK",)),
    "Wang^XiaoDong=王^小東=": ("Wang^XiaoDong=王^小東=".encode(), ("ISO_IR 192",)),
}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_decoded(name):
    value, terms = NAMES[name]
    assert text_values(value, "PN", repertoire_of(terms)) == [name.rstrip(" =")]


@pytest.mark.parametrize(
    "terms", [("ISO IR 100",), ("ISO-IR-100",), ("iso_ir 100",), ("iso8859-1",), ("ISO 8859-1",), ("ISO2022IR100",)]
)
def test_misspelt_terms_are_understood(terms):
    assert text_values(b"J\xe9r\xf4me", "LO", repertoire_of(terms)) == ["Jérôme"]


@pytest.mark.parametrize("terms", [(), ("",), ("ISO_IR 6",), ("KLINGON",)])
def test_without_a_known_term_utf_8_is_told_from_latin_1(terms):
    assert text_values("Jérôme".encode(), "LO", repertoire_of(terms)) == ["Jérôme"]
    assert text_values(b"J\xe9r\xf4me", "LO", repertoire_of(terms)) == ["Jérôme"]


@pytest.mark.parametrize("terms", [(), ("ISO_IR 100",), ("ISO 2022 IR 58",)])
def test_escape_sequences_count_without_a_declaration(terms):
    assert text_values(b"A^\x1b$)A\xd0\xa1\xb6\xab", "PN", repertoire_of(terms)) == ["A^小东"]


def test_a_character_set_that_is_declared_counts_without_its_escape_sequence():
    assert text_values(b"A^\xd0\xa1\xb6\xab", "PN", repertoire_of(("", "ISO 2022 IR 58"))) == ["A^小东"]


def test_a_backslash_or_an_equals_sign_may_be_half_of_a_character():
    kanji = b"\x1b$B=B%\\\x1b(B"  # 渋ボ: 3D 42, 25 5C
    assert text_values(kanji + b"\\" + kanji, "LO", repertoire_of(("", "ISO 2022 IR 87"))) == ["渋ボ", "渋ボ"]
    assert text_values(kanji + b"=" + kanji, "PN", repertoire_of(("", "ISO 2022 IR 87"))) == ["渋ボ=渋ボ"]
    assert "乗".encode("gbk").endswith(b"\\")
    assert text_values("乗\\乗".encode("gbk"), "SH", repertoire_of(("GBK",))) == ["乗", "乗"]


def test_long_text_keeps_its_backslashes_and_leading_blanks():
    assert text_values(b" a\\\xe9\r\n ", "LT", repertoire_of(("ISO_IR 100",))) == [" a\\é\r\n"]


def test_a_line_end_resets_the_character_set():
    assert text_values(b"\x1b-F\xc4\r\n\xc4", "ST", repertoire_of(("ISO 2022 IR 100",))) == ["Δ\r\nÄ"]


CHARACTERS = {  # that a single-byte set and a code extension have
    "ISO 2022 IR 58": "小东张王李",
    "ISO 2022 IR 149": "洪吉洞홍길동",
    "ISO 2022 IR 87": "山田太郎やまだ",
    "ISO 2022 IR 144": "Лука",
    "ISO 2022 IR 101": "čřž",
}


@given(st.data())
def test_what_pydicom_encodes_is_decoded(data):
    term = data.draw(st.sampled_from(sorted(CHARACTERS)))
    text = data.draw(st.text("abc ^" + CHARACTERS[term], min_size=1).map(lambda text: "x" + text + "x"))
    encodings = [python_encoding[""], python_encoding[term]]
    parts = [encode_string(part, encodings) for part in text.split("^")]
    if term == "ISO 2022 IR 58":  # pydicom writes this set without its designation
        parts = [part if part.isascii() else b"\x1b$)A" + part for part in parts]
    assert text_values(b"^".join(parts), "PN", repertoire_of(("", term))) == [text]


@given(st.binary(max_size=60), st.sampled_from(["PN", "LO", "LT"]), st.sampled_from(sorted(NAMES)))
def test_any_bytes_give_text(value, vr, name):
    assert all(isinstance(text, str) for text in text_values(value, vr, repertoire_of(NAMES[name][1])))


# In data sets...


def chinese(**elements: bytes) -> bytes:
    """A file with values in GB 2312; they are put in after it was written, as pydicom cannot write them."""
    data = dicom_bytes(ramp(16, 20), SpecificCharacterSet=["", "ISO 2022 IR 58"], **dict.fromkeys(elements, "@" * 16))
    for value in elements.values():
        data = data.replace(b"@" * 16, value.ljust(16), 1)
    return data


def test_a_data_set_is_decoded_where_it_is_read():
    dataset = read(chinese(StudyDescription=b"\x1b$)A\xd0\xa1\\B", PatientName=b"Z=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1"))
    assert dataset.PatientName == "Z=张^小"
    assert dataset.PatientName.ideographic == "张^小"
    assert list(dataset.StudyDescription) == ["小", "B"]
    assert dataset.SpecificCharacterSet == "ISO_IR 192"
    assert attributes(dataset)["PatientName"] == "Z=张^小"
    assert dataset.PatientID == "CANARY-17"


def test_an_item_inherits_the_character_set_or_has_its_own():
    inherits, own = Dataset(), Dataset()
    own.SpecificCharacterSet = "ISO_IR 100"
    for item in (inherits, own):
        item.RequestedProcedureDescription = "@" * 8
    data = dicom_bytes(ramp(16, 20), SpecificCharacterSet="ISO 2022 IR 58", RequestAttributesSequence=[inherits, own])
    for value in (b"\x1b$)A\xd0\xa1", b"J\xe9r\xf4me"):
        data = data.replace(b"@" * 8, value.ljust(8), 1)
    first, second = read(data).RequestAttributesSequence
    assert (first.RequestedProcedureDescription, second.RequestedProcedureDescription) == ("小", "Jérôme")


def test_a_data_set_of_ascii_is_left_as_it_is():
    dataset = read(dicom_bytes(ramp(16, 20), SpecificCharacterSet="ISO_IR 100"))
    decode_text(dataset)
    assert dataset.SpecificCharacterSet == "ISO_IR 100"


@pytest.mark.filterwarnings("ignore:The value length")
def test_more_text_than_a_header_holds_stays_as_it_is(monkeypatch):
    """To decode it would take seconds for each megabyte; the work is counted in bytes."""
    decoded = []

    def count(value, *arguments):
        decoded.append(len(value))
        return text_values(value, *arguments)

    monkeypatch.setattr(charset, "text_values", count)
    item = Dataset()
    item.CodeMeaning = "%" * 60_000
    file = dicom_bytes(
        ramp(16, 20),
        SpecificCharacterSet="ISO_IR 100",
        PatientName="@@@@",
        PatientComments="#" * 60_000,
        RequestAttributesSequence=[item] * 20,
    )
    for placeholder, value in (
        (b"@@@@", b"J\xe9r\xf4"),
        (b"#" * 60_000, b"\xe9\\" * 30_000),
        (b"%" * 60_000, b"\xe9a" * 30_000),
    ):
        file = file.replace(placeholder, value)
    dataset = read(file)

    assert sum(decoded) <= 2**18
    assert len(decoded) == 2 + 3  # the comments, and of the twenty items as many as fit
    assert attributes(dataset)["PatientName"] == "Jérô"
