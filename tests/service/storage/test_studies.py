from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from service.storage.criteria import Between, Criterion, Like, OneOf
from service.storage.records import Records
from service.storage.studies import Studies
from tests.service.storage.conftest import Make

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
TAGS = {
    "1.1": {"PatientName": "Doe^John", "PatientID": "P1", "StudyDate": "20260101", "Modality": "DX"},
    "1.2": {"PatientName": "Doe^Jane", "PatientID": "P_2", "StudyDate": "20260102", "Modality": "CR", "StudyID": "S7"},
    "1.3": {"PatientName": "Müller^Änne", "Modality": "DX"},
}


@pytest.fixture
def studies(records: Records, make: Make) -> Iterator[Studies]:
    """Store three studies, a minute apart; the first has two instances, and its first instance two records."""
    for minutes, (study, tags) in enumerate(TAGS.items()):
        created = NOON + timedelta(minutes=minutes)
        uids = {"study_instance_uid": study, "sop_instance_uid": f"{study}.1", "accession_number": f"A{study}"}
        records.save(make(**uids, attributes=tags, created=created))
    first = {"study_instance_uid": "1.1", "accession_number": "A1.1", "attributes": TAGS["1.1"]}
    records.save(make(**first, sop_instance_uid="1.1.1", artefact_sha256="b" * 64, created=NOON + timedelta(hours=1)))
    records.save(make(**first, sop_instance_uid="1.1.2", created=NOON + timedelta(seconds=1)))
    return Studies(records.database)


@pytest.mark.parametrize(
    ("criteria", "uids"),
    [
        ([], ("1.3", "1.2", "1.1")),
        ([Like("PatientName", "DOE*")], ("1.2", "1.1")),
        ([Like("PatientName", "*ÄNNE")], ("1.3",)),
        ([Like("PatientID", "P_*")], ("1.2",)),
        ([OneOf("PatientID", ("P1",))], ("1.1",)),
        ([OneOf("StudyInstanceUID", ("1.1", "1.3", "1.4"))], ("1.3", "1.1")),
        ([Between("StudyDate", "20260102", "")], ("1.2",)),
        ([OneOf("AccessionNumber", ("A1.2",))], ("1.2",)),
        ([OneOf("Modality", ("CR", "MR"))], ("1.2",)),
        ([OneOf("StudyID", ("S7",))], ("1.2",)),
        ([Like("StudyID", "*")], ("1.3", "1.2", "1.1")),
        ([Like("PatientName", "doe*"), OneOf("Modality", ("DX",))], ("1.1",)),
        ([OneOf("PatientID", ("'; DROP TABLE instances; --",))], ()),
    ],
)
def test_studies_are_found_newest_first(studies: Studies, criteria: list[Criterion], uids: tuple[str, ...]) -> None:
    assert studies.find(criteria, 10, 0) == uids


def test_limit_and_offset_select_a_page(studies: Studies) -> None:
    assert [studies.find([], 2, offset) for offset in (0, 2, 4)] == [("1.3", "1.2"), ("1.1",), ()]


def test_studies_keep_the_given_order_and_records_are_oldest_first(studies: Studies) -> None:
    first, second = studies.records(["1.2", "1.4", "1.1"])

    assert [record.sop_instance_uid for record in first] == ["1.2.1"]
    assert [record.sop_instance_uid for record in second] == ["1.1.1", "1.1.2", "1.1.1"]


def test_a_study_whose_records_are_deleted_is_not_found(studies: Studies, records: Records) -> None:
    ((record,),) = studies.records(["1.2"])
    records.delete(record.id)

    assert studies.find([], 10, 0) == ("1.3", "1.1")
    assert studies.records(["1.2"]) == ()
