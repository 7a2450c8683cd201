from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from service.artefact.card import Card, LabelCodes
from service.errors import ConfigurationError
from service.objects.codes import row
from service.objects.site_codes import COLUMNS, codes_for, unknown_labels

HEADER = ",".join(COLUMNS)


def card(*labels: str, **codes: tuple[str, str, str]) -> Any:
    """The part of a card that is read: labels, and codes of findings in the lung."""
    return SimpleNamespace(labels=labels, codes={label: stated(*code) for label, code in codes.items()})


def stated(value: str, scheme: str, meaning: str) -> LabelCodes:
    lung = {"value": "39607008", "scheme": "SCT", "meaning": "Lung"}
    return LabelCodes.model_validate({
        "finding": {"value": value, "scheme": scheme, "meaning": meaning},
        "site": lung,
    })  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "codes.csv"


def finding(card: Card, label: str, path: Path | None) -> tuple[str, ...]:
    coded = row(label, codes_for(card, path).get(label)).finding
    return coded[:2]


def test_the_sites_table_counts_before_the_card_and_the_card_before_the_services_table(table: Path) -> None:
    table.write_text(f"{HEADER}\nMass,M1,99SITE,Masse,L,99SITE,Lunge\nOther,O1,99SITE,Other,,,\n", encoding="utf-8")
    both = card("Mass", "Nodule", "Effusion", Mass=("1", "SCT", "Mass"), Nodule=("2", "SCT", "Nodule"))
    assert finding(both, "Mass", table) == ("M1", "99SITE")
    assert finding(both, "Mass", None) == ("1", "SCT")
    assert finding(both, "Nodule", table) == ("2", "SCT")
    assert finding(both, "Effusion", table) == ("60046008", "SCT")
    assert unknown_labels(both, table) == ("Other",)


def test_a_row_without_a_site_keeps_the_site_of_the_finding(table: Path) -> None:
    table.write_text(f"{HEADER}\nMass,M1,99SITE,Masse,,,\nEffusion,E1,99SITE,Erguss,,,\n", encoding="utf-8")
    codes = codes_for(card("Mass", "Effusion", Mass=("1", "SCT", "Mass")), table)
    assert [codes[label].site.value for label in ("Mass", "Effusion")] == ["39607008", "3120008"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,value\n", "expected the columns label,finding_value,finding_scheme,finding_meaning,site_value,"),
        (f"{HEADER}\nMass,1,99S,m\n", "line 2: expected 7 columns"),
        (f"{HEADER}\nMass,1,99S,m,,,\nMass,2,99S,m,,,\n", "line 3: 'Mass' is in the table twice"),
        (f"{HEADER}\nMass,{'1' * 17},99S,m,,,\n", "line 2: value: String should have at most 16 characters"),
        (f"{HEADER}\nMass,1,99S,m,2,,\n", "line 2: scheme: String should have at least 1 character"),
        (f"{HEADER}\nMass,1\\2,99S,m,,,\n", "the codes of 'Mass': expected printable text without backslashes"),
        (f"{HEADER}\nMass,1,99S,m,,,\nNodule,1,99S,n,,,\n", "'Mass' and 'Nodule' have the same code, 1 of 99S"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_one_line(table: Path, text: str, message: str) -> None:
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        codes_for(card("Mass", "Nodule"), table)
    assert message in caught.value.message
    assert "\n" not in caught.value.message


def test_a_table_that_cannot_be_read_is_refused(table: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"TRIAGE_OBJECTS__CODES: .*codes.csv: cannot be read \(No such file"):
        codes_for(card("Mass"), table)
    table.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        codes_for(card("Mass"), table)


def test_labels_that_share_a_private_code_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'Lung Opacity' and 'Lung_Opacity' have the same code, LUNG_OPACITY"):
        codes_for(card("Lung Opacity", "Lung_Opacity"), None)
    with pytest.raises(ConfigurationError, match="PLEURAL_THICK"):
        codes_for(card("Pleural_Thickening", "Pleural Thick"), None)
