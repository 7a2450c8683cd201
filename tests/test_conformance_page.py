"""`docs/conformance.md` says what the code does: classes, syntaxes, statuses, keys, codes."""

import re
from pathlib import Path

import pytest
from pydicom.uid import UID

from service.dicom.decoder import SYNTAXES
from service.dicom_web.query import KEYS
from service.dimse import acceptor
from service.dimse.status import SUCCESS
from service.http.failure_reasons import BY_CLASS, BY_CODE
from service.objects.codes import LABELS, row
from service.objects.kinds import DICOM_KINDS

VERIFICATION = "1.2.840.10008.1.1"


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "conformance.md").read_text(encoding="utf-8")


def table(page: str, head: str) -> list[list[str]]:
    """The rows under a table's first line, as cells."""
    _, found, rest = page.partition(f"\n{head}\n")
    assert found, f"no table {head}"
    lines = rest.splitlines()[1:]
    rows = lines[: next((place for place, line in enumerate(lines) if not line.startswith("|")), len(lines))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in rows]


def uids(cell: str) -> list[str]:
    """`1.2.4.80, .81` are two."""
    first, *others = cell.split(", ")
    return [first, *(first.rpartition(".")[0] + other for other in others)]


def test_what_is_accepted(page: str) -> None:
    section = page.partition("#### Accepted presentation contexts")[2]
    accepted = [row[1] for row in table(section, "| abstract syntax | UID |")]
    syntaxes = [uid for row in table(page, "| transfer syntax (all storage contexts) | UID |") for uid in uids(row[1])]

    assert accepted == [VERIFICATION, *acceptor.SOP_CLASSES]
    assert set(syntaxes) == set(acceptor.SYNTAXES) == set(SYNTAXES)


def test_what_is_sent(page: str) -> None:
    section = page.partition("### 3.3 TRIAGE-STORE-SCU")[2]

    assert [row[1] for row in table(section, "| abstract syntax | UID |")] == [
        kind.form.sop_class_uid for kind in DICOM_KINDS
    ]


def test_what_stands_beside_a_radiograph(page: str) -> None:
    told = table(page, "| modality | SOP class | Series Number |")

    assert told == [
        [kind.form.modality, UID(kind.form.sop_class_uid).name, str(kind.form.series_number)] for kind in DICOM_KINDS
    ]


def test_statuses_and_reasons(page: str) -> None:
    statuses = {int(row[0], 16) for row in table(page, "| status | meaning | when |")}
    reasons = [row[0] for row in table(page, "| Failure Reason (0008,1197) | meaning |")]

    assert statuses == {SUCCESS, *BY_CLASS.values(), *BY_CODE.values()}
    for told in reasons:
        decimal, hexadecimal = re.fullmatch(r"(\d+) \(([0-9A-F]{4})H\)", told).groups()  # type: ignore[union-attr]
        assert int(decimal) == int(hexadecimal, 16)
    numbers = {int(told.split()[0]) for told in reasons}
    assert numbers == {*BY_CLASS.values(), *BY_CODE.values()}


def test_what_can_be_searched_for(page: str) -> None:
    told = [set(row[1].split(", ")) for row in table(page, "| level | keys |")]
    studies, series, instances = (set(KEYS[level]) for level in ("study", "series", "instance"))

    assert told[0] == studies
    assert told[0] | told[1] == series
    assert told[0] | told[1] | told[2] == instances


def test_codes_of_the_findings(page: str) -> None:
    assert table(page, "| label | code | scheme | meaning | source |") == [
        [label, *row(label).finding] for label in LABELS
    ]
