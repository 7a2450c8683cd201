"""The tables of `docs/conformance.md` agree with the code: classes, syntaxes, statuses, keys, codes."""

import re
from itertools import takewhile
from pathlib import Path

import pytest
from pydicom.uid import UID

from service.dicom.decoder import SYNTAXES, depth_flags
from service.dicom.presentation import Presentation
from service.dicom.vocabulary import Meaning
from service.dicom.words import ROWS, SHIPPED
from service.dicom_web.query import KEYS
from service.dimse import acceptor
from service.dimse.status import SUCCESS
from service.http.failure_reasons import BY_CLASS, BY_CODE
from service.objects.codes import LABELS, row
from service.objects.kinds import DICOM_KINDS
from service.settings import Gate, variable_name

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "conformance.md").read_text(encoding="utf-8")


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of each row of the table that begins with the line `heading`."""
    _, separator, rest = page.partition(f"\n{heading}\n")
    assert separator, f"no table {heading}"
    rows = takewhile(lambda line: line.startswith("|"), rest.splitlines()[1:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def uids(cell: str) -> list[str]:
    """Return the UIDs in a cell, of which all but the first are shortened: `1.2.4.80, .81`."""
    first, *others = cell.split(", ")
    return [first, *(first.rpartition(".")[0] + other for other in others)]


def test_the_accepted_classes_and_syntaxes_are_those_of_the_acceptor(page: str) -> None:
    section = page.partition("#### Accepted presentation contexts")[2]
    accepted = [row[1] for row in table(section, "| abstract syntax | UID |")]
    syntaxes = [uid for row in table(page, "| transfer syntax (all storage contexts) | UID |") for uid in uids(row[1])]

    assert accepted == [VERIFICATION, *acceptor.SOP_CLASSES]
    assert set(syntaxes) == set(acceptor.SYNTAXES) == set(SYNTAXES)


def test_the_classes_sent_are_those_of_the_objects(page: str) -> None:
    section = page.partition("### 3.3 TRIAGE-STORE-SCU")[2]

    assert [row[1] for row in table(section, "| abstract syntax | UID |")] == list(
        dict.fromkeys(kind.form.sop_class_uid for kind in DICOM_KINDS)
    )


def test_the_series_found_beside_a_radiograph_are_those_of_the_objects(page: str) -> None:
    rows = table(page, "| modality | SOP class | Series Number |")

    assert rows == [
        [kind.form.modality, UID(kind.form.sop_class_uid).name, str(kind.form.series_number)] for kind in DICOM_KINDS
    ]


def test_statuses_and_failure_reasons_are_those_of_the_code(page: str) -> None:
    statuses = {int(row[0], 16) for row in table(page, "| status | meaning | when |")}
    reasons = [row[0] for row in table(page, "| Failure Reason (0008,1197) | meaning |")]

    assert statuses == {SUCCESS, *BY_CLASS.values(), *BY_CODE.values()}
    for reason in reasons:
        decimal, hexadecimal = re.fullmatch(r"(\d+) \(([0-9A-F]{4})H\)", reason).groups()  # type: ignore[union-attr]
        assert int(decimal) == int(hexadecimal, 16)
    numbers = {int(reason.split()[0]) for reason in reasons}
    assert numbers == {*BY_CLASS.values(), *BY_CODE.values()}


def test_the_flags_of_the_pixel_path_are_those_of_the_code(page: str, root: Path) -> None:
    flags = {row[0].strip("`") for row in table(page, "| flag | what the file has | what is shown |")}
    words = (root / "service" / "web" / "findings.js").read_text(encoding="utf-8")

    documentation = (Presentation.__doc__ or "").partition("flags\n")[2] + (depth_flags.__doc__ or "")
    assert flags == set(re.findall(r"`(\w+)`", documentation))
    assert all(f"  {flag}: " in words for flag in (*flags, "trailing_data", "uid_leading_zero"))


def test_the_matching_keys_are_those_of_the_search(page: str) -> None:
    keys = [set(row[1].split(", ")) for row in table(page, "| level | keys |")]
    studies, series, instances = (set(KEYS[level]) for level in ("study", "series", "instance"))

    assert keys[0] == studies
    assert keys[0] | keys[1] == series
    assert keys[0] | keys[1] | keys[2] == instances


def test_the_reasons_and_flags_are_those_of_the_gate(page: str, root: Path) -> None:
    sources = [(root / "service" / "dicom" / f"{name}.py").read_text() for name in ("gate", "body_part", "view", "age")]
    codes = set(re.findall(r'"([a-z]+(?:_[a-z]+)+|paediatric)"', "".join(sources)))
    pixels = (root / "service" / "dicom" / "radiograph.py").read_text()
    codes.update(re.findall(r'Reason\("([a-z_]+)"', pixels))

    rows = [*table(page, "| reason | when |"), *table(page, "| flag | when |")]

    assert {row[0].strip("`") for row in rows} == codes


def test_the_meanings_and_languages_of_words_are_those_of_the_table(page: str) -> None:
    meanings = table(page, "| meaning | examples | words of a site |")
    section = page.partition("### 9.2 Words")[2].partition("| meaning")[0]
    languages = {language for row in ROWS for language in row.languages.split()}

    assert {row[0] for row in meanings} == set(Meaning) - {Meaning.UNRECOGNISED}
    assert {row[2].strip("`") for row in meanings if row[2]} == {
        variable_name("gate", field) for field in Gate.model_fields if field.endswith("_words")
    }
    assert set(re.findall(r"\(([a-z]{2})\)", section)) == languages
    for meaning, examples, _ in meanings:
        assert all(meaning in SHIPPED.meanings(example) for example in examples.split(", ")), meaning


def test_the_codes_of_the_findings_are_those_of_the_code(page: str) -> None:
    assert table(page, "| label | code | scheme | meaning | source |") == [
        [label, *row(label).finding] for label in LABELS
    ]
