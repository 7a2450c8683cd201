from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from service.storage import studies as module
from service.storage.criteria import Between, Criterion, Like, OneOf
from service.storage.database import Database
from service.storage.records import Records
from service.storage.rows import instance_values, prediction_values
from service.storage.studies import Studies
from service.storage.tables import INSTANCES, PREDICTIONS
from tests.service.records import record
from tests.service.storage.conftest import Make, on_postgresql, on_sqlite
from tests.service.storage.plans import BITMAPS, below, index_texts, query_plan, server_plans

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


rows = st.tuples(
    st.sampled_from(["1.1", "1.2", "1.3"]),
    st.sampled_from(["", "Doe^John", "DOE^Jane", "Do_^x%", "Müller^Änne", "İ" * 40, "D" * 100]),
    st.sampled_from(["", "20260101", "20260102", "2026"]),
    st.integers(0, 2),
)
names = ["doe*", "DOE^JOHN", "*", "*e", "do?^*", "do_^x%", "MÜLLER*", "i*"]
names += [character * 32 + more for character in "dİ" for more in ("*", "D*")]
criteria = st.lists(
    st.one_of(
        st.sampled_from(names).map(lambda pattern: Like("PatientName", pattern)),
        st.sampled_from([("20260101", ""), ("", "20260101"), ("20260102", "20260102")]).map(
            lambda ends: Between("StudyDate", *ends)
        ),
        st.sampled_from(["Doe^John", ""]).map(lambda name: OneOf("PatientName", (name,))),
    ),
    max_size=2,
)


@settings(deadline=None, max_examples=60)
@given(stored=st.lists(rows, max_size=8), criteria=criteria, limit=st.integers(1, 3), offset=st.integers(0, 2))
def test_each_study_stands_at_its_last_instance_that_matches(
    shared: Database, stored: list[tuple[str, str, str, int]], criteria: list[Criterion], limit: int, offset: int
) -> None:
    """Compare with a loop."""
    last: dict[str, int] = {}
    with shared.write() as connection:
        connection.execute(sa.delete(INSTANCES))
        for number, (study, name, day, minute) in enumerate(stored):
            one = record(
                study_instance_uid=study,
                sop_instance_uid=f"1.{number}",
                instance_file=f"{number}",
                attributes={"PatientName": name, "StudyDate": day},
                created=NOON + timedelta(minutes=minute),
            )
            connection.execute(sa.insert(INSTANCES).values(instance_values(one) | {"id": number + 1}))
            connection.execute(sa.insert(PREDICTIONS).values(prediction_values(one, number + 1)))
            if all(criterion.holds(one.attributes[criterion.keyword]) for criterion in criteria):
                last[study] = max(minute, last.get(study, 0))

    expected = sorted(last, key=lambda study: (-last[study], study))
    assert Studies(shared).find(criteria, limit, offset) == tuple(expected[offset : offset + limit])


@on_postgresql
@pytest.mark.parametrize(
    ("criteria", "index"),
    [
        ([], "received"),
        ([OneOf("PatientID", ("P1",))], "patient"),
        ([OneOf("AccessionNumber", ("A1",))], "accession"),
        ([Between("StudyDate", "20260102", "20260103")], "day"),
        ([Like("PatientName", "doe^*")], "name"),
    ],
)
def test_a_search_reads_an_index(records: Records, studies: Studies, criteria: list[Criterion], index: str) -> None:
    """In three rows the newest first are as good as any index; so that index is dropped for the other searches."""
    if criteria:
        with records.database.write() as connection:
            connection.exec_driver_sql("DROP INDEX ix_instances_received")
    (plan,) = server_plans(records.database, lambda: studies.find(criteria, 10, 0))
    used = {node["Index Name"] for node in below(plan) if node.get("Alias") == "instances"}

    assert used == {f"ix_instances_{index}"}


def test_all_studies_come_once_while_others_arrive(
    studies: Studies, records: Records, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was returned receives another instance, and one that was not is sent again later."""
    monkeypatch.setattr(module, "_BATCH", 1)
    found = []
    for first, *_ in studies.all([]):
        found.append(first.study_instance_uid)
        late = {"study_instance_uid": "1.1", "created": NOON + timedelta(days=len(found))}
        records.save(make(**late, sop_instance_uid=f"1.1.9.{len(found)}"))

    assert found == ["1.3", "1.2", "1.1"]
    assert [records[0].study_instance_uid for records in studies.all([])] == ["1.1", "1.3", "1.2"]


OF_A_DAY: list[Criterion] = [Between("StudyDate", "20260102", "20260102"), OneOf("Modality", ("DX",))]


@on_postgresql
@pytest.mark.parametrize("criteria", [OF_A_DAY[:1], OF_A_DAY])
def test_a_search_of_a_day_reads_it_from_its_end(records: Records, studies: Studies, criteria: list[Criterion]) -> None:
    """Not all that was received since, nor the whole day: a page is read in its order from one index."""
    (plan,) = server_plans(records.database, lambda: studies.find(criteria, 10, 0))
    nodes = list(below(plan))

    assert {node["Index Name"] for node in nodes if node.get("Alias") == "instances"} == {"ix_instances_day"}
    assert "Incremental Sort" in {node["Node Type"] for node in nodes}  # of those received at one moment
    assert "Sort" not in {node["Node Type"] for node in nodes}


@on_sqlite
@pytest.mark.parametrize("criteria", [OF_A_DAY[:1], OF_A_DAY])
def test_so_it_is_in_a_file(records: Records, studies: Studies, criteria: list[Criterion]) -> None:
    plan = [step for _, _, step in query_plan(records.database, lambda: studies.find(criteria, 10, 0))]

    assert "SEARCH instances USING INDEX ix_instances_day (<expr>=?)" in plan
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan  # but for the last term


@on_postgresql
def test_a_name_is_found_anywhere_by_the_index_of_the_documentation(
    records: Records, studies: Studies, root: Path
) -> None:
    index_texts(records.database, root)
    (plan,) = server_plans(records.database, lambda: studies.find([Like("PatientName", "*^john")], 10, 0), BITMAPS)

    assert "ix_instances_name_anywhere" in {node.get("Index Name") for node in below(plan)}


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
