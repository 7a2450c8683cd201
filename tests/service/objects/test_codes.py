import pytest
from pydicom.sr._concepts_dict import concepts

from model.labels import LABELS
from service.artefact.card import LabelCodes
from service.objects import codes
from service.objects.codes import PRIVATE, Coded, row

OURS = [value for value in vars(codes).values() if isinstance(value, Coded)]
FINDINGS = [row(label).finding for label in LABELS]
SITES = [row(label).site for label in LABELS]
UNPUBLISHED = {("C0034375", "UMLS"), ("%", "UCUM"), ("{pixels}", "UCUM")}  # pydicom does not have all of UMLS and UCUM


def published(coded: Coded) -> list[str]:
    """Meanings that PS3.16 gives a code, as pydicom has it."""
    names = concepts[coded.scheme].values()
    return [codes[coded.value][0] for codes in names if coded.value in codes]


@pytest.mark.parametrize("coded", [one for one in sorted({*OURS, *FINDINGS, *SITES}) if one.scheme != PRIVATE], ids=str)
def test_a_published_code_means_what_the_standard_says(coded: Coded) -> None:
    if coded[:2] in UNPUBLISHED:
        return
    meanings = [meaning.lower().replace(" (attribute)", "") for meaning in published(coded)]

    assert coded.meaning.lower() in meanings


@pytest.mark.parametrize("coded", [one for one in sorted({*FINDINGS, *SITES}) if one.scheme != PRIVATE], ids=str)
def test_a_code_is_in_the_context_group_that_is_named_as_its_source(coded: Coded) -> None:
    groups = [
        group for codes in concepts[coded.scheme].values() if coded.value in codes for group in codes[coded.value][1]
    ]

    assert int(coded.source.removeprefix("PS3.16 CID ")) in groups


def test_every_finding_has_a_code_of_its_own() -> None:
    assert len({finding[:2] for finding in FINDINGS}) == len(LABELS) == 14
    assert set(codes.LABELS) == set(LABELS)


def test_a_private_code_fits_its_attribute_and_has_a_private_scheme() -> None:
    private = [one for one in {*OURS, *FINDINGS, *codes.PRIORITIES.values()} if one.scheme == PRIVATE]

    assert private
    for one in private:
        assert PRIVATE.startswith("99")
        assert len(one.value) <= 16  # SH
        assert len(one.meaning) <= 64  # LO


def test_the_standards_code_for_cardiomegaly_has_two_meanings() -> None:
    """pydicom has both PS3.16's and SNOMED's meaning of 287272002, and they contradict each other."""
    meanings = published(Coded("287272002", "SCT", "", ""))

    assert {"Cardiomegaly", "Enlarged septal foramen of heart (disorder)"} <= set(meanings)
    assert row("Cardiomegaly").finding.scheme == PRIVATE


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("Lung Opacity", "LUNG_OPACITY"),
        ("Tuberculosis", "TUBERCULOSIS"),
        ("Tuberculosis_of_the_lung", "TUBERCULOSI_63D1"),  # first digits of the label's SHA-256
        ("Tuberculosis_of_the_pleura", "TUBERCULOSI_86AC"),
        ("Épanchement_pleural", "EPANCHEMENT_407B"),
        ("肺結節", "D58A"),
        ("Flag", "FLAG_5521"),  # another concept has the code FLAG
    ],
)
def test_a_label_of_another_network_gets_a_private_code(label: str, code: str) -> None:
    assert row(label).finding[:3] == (code, PRIVATE, label)


def test_codes_of_site_or_artefact_count_before_the_table() -> None:
    stated = LabelCodes.model_validate({
        "finding": {"value": "RID5350", "scheme": "RADLEX", "meaning": "mass"},
        "site": {"value": "RID1301", "scheme": "RADLEX", "meaning": "lung"},
    })  # fmt: skip
    assert row("Mass", stated).finding[:3] == ("RID5350", "RADLEX", "mass")
    assert row("Mass", stated).site[:3] == ("RID1301", "RADLEX", "lung")
