import math
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import InvalidRequest, NotFound
from service.storage import cursor as cursors
from service.storage import worklist as module
from service.storage.database import Database
from service.storage.filters import Filters
from service.storage.migration import migrations
from service.storage.order import By, Order
from service.storage.record import Record, Summary
from service.storage.records import Records
from service.storage.rows import to_json
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from service.storage.worklist import Worklist
from service.triage.rule import PRIORITIES
from tests.service.records import PREDICTION, finding
from tests.service.storage.conftest import Make, on_postgresql, on_sqlite
from tests.service.storage.plans import BITMAPS, below, index_texts, query_plan, server_plans

ALL, URGENT = Filters(), Order()
MAX_PAGES = 50
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
Add = Callable[..., Record]


@pytest.fixture
def worklist(records: Records) -> Worklist:
    return Worklist(records.database)


@pytest.fixture
def add(records: Records, make: Make) -> Add:
    """Return a function that saves a record of a new instance; arguments replace its fields."""
    numbers = iter(range(10_000))

    def _add(positive: tuple[str, ...] = (), **changes: Any) -> Record:
        number = next(numbers)
        findings = tuple(finding(label, label in positive) for label in ("Mass", "Effusion", "Nodule"))
        values = {
            "sop_instance_uid": f"1.2.{number}",
            "created": NOON + timedelta(minutes=number),
            "findings": findings,
        }
        return records.save(make(**(values | changes)))

    return _add


def ids(worklist: Worklist, filters: Filters = ALL, limit: int = 100, order: Order = URGENT) -> list[str]:
    """Return the ids of the whole list, read page by page."""
    listed: list[str] = []
    cursor = None
    for _ in range(MAX_PAGES):
        entries, cursor = worklist.page(filters, limit, cursor, order)
        listed += [entry.record.id for entry in entries]
        if cursor is None:
            return listed
    pytest.fail(f"no last page within {MAX_PAGES} pages")


# Order...


def test_the_order_is_priority_then_margin_then_waiting_time(worklist: Worklist, add: Add) -> None:
    names = {
        "routine": add(priority="ROUTINE", margin=9.0),
        "high, none": add(priority="HIGH", margin=None),
        "high, small": add(priority="HIGH", margin=-0.5),
        "stat, waits less": add(priority="STAT", margin=1.0),
        "stat, waits more": add(priority="STAT", margin=1.0, created=NOON - timedelta(hours=1)),
        "stat, first": add(priority="STAT", margin=1.5),
    }
    order = ["stat, first", "stat, waits more", "stat, waits less", "high, small", "high, none", "routine"]

    assert ids(worklist) == [names[name].id for name in order]
    assert ids(worklist, limit=1) == [names[name].id for name in order]


NAMES = {
    "A1": "Ödön^Ö",
    "A2": "ueda^ueda",
    "A3": "Ueda^Taro",
    "A4": "",
    "A5": "Zoe^" + "é" * 80,
    "A6": "Zoe^" + "é" * 81,
}
BY_NAME = ["A4", "A3", "A2", "A5", "A6", "A1"]  # equal in 64 characters: by time


@pytest.fixture
def named(worklist: Worklist, add: Add) -> Callable[[Order, int], list[str]]:
    """Return a function that lists the accession numbers of six patients, read page by page."""
    for number, (accession, name) in enumerate(NAMES.items()):
        study = {"StudyDate": f"2026010{number % 2}", "StudyTime": f"{9 - number:02}0000"}
        record = add(accession_number=accession, margin=float(number), attributes={"PatientName": name} | study)
        if accession in ("A2", "A6"):
            worklist.mark(record.id, True, "")
    numbers = {entry.record.id: entry.record.accession_number for entry in worklist.page(ALL, 100, None)[0]}
    return lambda order, limit: [numbers[id] for id in ids(worklist, limit=limit, order=order)]


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_the_list_can_be_sorted_by_a_column_and_begin_with_unread_entries(
    named: Callable[[Order, int], list[str]], limit: int
) -> None:
    received = [*NAMES]
    by_study = ["A5", "A3", "A1", "A6", "A4", "A2"]

    assert named(Order("patient"), limit) == BY_NAME
    assert named(Order("patient", descending=True), limit) == BY_NAME[::-1]
    assert named(Order("received"), limit) == received
    assert named(Order("study"), limit) == by_study
    assert named(Order("study", unread_first=True), limit) == ["A5", "A3", "A1", "A4", "A6", "A2"]
    assert named(Order(unread_first=True), limit) == ["A5", "A4", "A3", "A1", "A6", "A2"]
    assert named(Order(descending=True, unread_first=True), limit) == ["A1", "A3", "A4", "A5", "A2", "A6"]


@pytest.mark.parametrize("limit", [1, 2, 100])
@pytest.mark.parametrize("descending", [False, True])
def test_every_order_is_one_of_all_priorities_read_and_unread(
    worklist: Worklist, add: Add, limit: int, descending: bool
) -> None:
    for number, (priority, read) in enumerate(product(PRIORITIES, (False, True, False))):
        place = number * 4 % 9
        attributes = {"PatientName": f"N{place}", "StudyDate": f"2026010{place}"}
        record = add(priority=priority, margin=float(-place), attributes=attributes)
        if read:
            worklist.mark(record.id, True, "")
    entries = [entry.record for entry in worklist.page(ALL, 100, None)[0]]

    def expected(key: Callable[[Summary], Any]) -> list[str]:
        return [record.id for record in sorted(entries, key=key, reverse=descending)]

    orders: dict[By, Callable[[Summary], Any]] = {
        "urgency": lambda record: (PRIORITIES.index(record.prediction.priority), -(record.prediction.margin or 0.0)),
        "received": lambda record: record.created,
        "patient": lambda record: record.attributes["PatientName"],
        "study": lambda record: record.attributes["StudyDate"],
    }
    for by, key in orders.items():
        assert ids(worklist, limit=limit, order=Order(by, descending)) == expected(key)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Order(), Order(unread_first=True)),
        (Order("study", unread_first=True), Order("study")),
        (Order(), Order("patient")),
        (Order("patient"), Order()),
    ],
)
def test_a_cursor_of_another_order_is_refused(worklist: Worklist, add: Add, one: Order, other: Order) -> None:
    add(), add()
    _, cursor = worklist.page(ALL, 1, None, one)

    with pytest.raises(InvalidRequest):
        worklist.page(ALL, 1, cursor, other)


def test_other_studies_of_a_patient_are_counted_by_id_and_issuer(worklist: Worklist, add: Add) -> None:
    patient = {"PatientID": "7", "IssuerOfPatientID": "A"}
    first = add(study_instance_uid="1.1", attributes=patient)
    for study in ("1.1", "1.2", "1.2", "1.3"):
        add(study_instance_uid=study, attributes=patient)
    other = add(study_instance_uid="1.4", attributes={"PatientID": "7", "IssuerOfPatientID": "B"})
    nameless = [add(study_instance_uid=f"1.{number}", attributes={}) for number in (5, 6)]

    listed = {entry.record.id: entry.other_studies for entry in worklist.page(ALL, 100, None)[0]}
    assert [listed[record.id] for record in (first, other, *nameless)] == [2, 0, 0, 0]


rows = st.tuples(
    st.sampled_from(PRIORITIES),
    st.none() | st.sampled_from([0.0, -0.0, 0.1 + 0.2, 1e-9]) | st.floats(-40, 40),
    st.integers(0, 2),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(listed=st.lists(rows, max_size=25), limit=st.integers(1, 8), read=st.sampled_from([None, True, False]))
def test_pages_contain_every_entry_once_in_order_also_with_ties(
    shared: Database, listed: list[tuple[str, float | None, int, bool]], limit: int, read: bool | None
) -> None:
    """Compare with a sort in Python."""
    keyed, unread_first = [], []
    with shared.write() as connection:
        connection.execute(sa.delete(PREDICTIONS))
        connection.execute(sa.delete(INSTANCES))
        for number, (priority, margin, minute, is_read) in enumerate(listed):
            id = f"{number * 7 % 32:032x}"
            created = NOON + timedelta(minutes=minute)
            _row(connection, number, id, priority=priority, margin=margin, created=created, unread=not is_read)
            if read in (None, is_read):
                urgency = math.inf if margin is None else -margin
                keyed.append((PRIORITIES.index(priority), urgency, created, id))
                unread_first.append((is_read, *keyed[-1]))

    filters, first = Filters(read=read), Order(unread_first=True)
    assert ids(Worklist(shared), filters, limit) == [key[-1] for key in sorted(keyed)]
    assert ids(Worklist(shared), filters, limit, first) == [key[-1] for key in sorted(unread_first)]


finding_rows = st.tuples(
    st.sampled_from(PRIORITIES),
    st.integers(0, 2),
    st.booleans(),
    st.sampled_from([(), ("Mass",), ("Effusion",), ("Effusion", "Mass"), ("Mass_x",), ("MassXx",)]),
)
finding_filters = st.builds(
    Filters,
    finding=st.sampled_from(["Mass", "Mass_x", "Mas", "Effusion", "%", "|", ""]),
    priority=st.sampled_from([None, *PRIORITIES]),
    read=st.sampled_from([None, True, False]),
    since=st.sampled_from([None, NOON + timedelta(minutes=1)]),
)
any_order = st.builds(
    Order, st.sampled_from(["urgency", "received", "patient", "study"]), st.booleans(), unread_first=st.booleans()
)


@settings(deadline=None, max_examples=60)
@given(listed=st.lists(finding_rows, max_size=25), filters=finding_filters, order=any_order, limit=st.integers(1, 8))
def test_pages_of_a_finding_are_those_of_a_naive_filter(
    shared: Database, listed: list[tuple[str, int, bool, tuple[str, ...]]], filters: Filters, order: Order, limit: int
) -> None:
    """Compare with a loop and a sort in Python; so are the counts."""
    keyed = []
    with shared.write() as connection:
        connection.execute(sa.delete(PREDICTIONS))
        connection.execute(sa.delete(INSTANCES))
        for number, (priority, minute, is_read, positive) in enumerate(listed):
            id, margin, text = f"{number * 7 % 32:032x}", float(number % 3), f"{number % 4}"
            created = NOON + timedelta(minutes=minute)
            _row(connection, number, id, priority=priority, margin=margin, created=created, unread=not is_read)
            own = sa.update(WORKLIST).where(WORKLIST.c.prediction_id == id)
            values = {"patient_key": text, "study_key": text, "positive": "".join(f"|{one}|" for one in positive)}
            connection.execute(own.values(values))
            is_listed = (
                filters.finding in positive
                and filters.priority in (None, priority)
                and filters.read in (None, is_read)
                and (filters.since is None or created >= filters.since)
            )
            if is_listed:
                keys = {
                    "urgency": (PRIORITIES.index(priority), -margin),
                    "received": (),
                    "patient": text,
                    "study": text,
                }
                keyed.append((is_read and order.unread_first, (keys[order.by], created, id)))

    keyed.sort(key=lambda pair: pair[1], reverse=order.descending)
    keyed.sort(key=lambda pair: pair[0])
    assert ids(Worklist(shared), filters, limit, order) == [key[-1] for _, key in keyed]
    assert Worklist(shared).counts(filters).total == len(keyed)


def _row(
    connection: sa.Connection,
    number: int,
    id: str,
    *,
    priority: str,
    margin: float | None,
    created: datetime,
    unread: bool,
) -> None:
    """Insert the rows of a record as `save` does, without maps."""
    instance = {name: f"{name} {number}" for name in ("sop_instance_uid", "instance_file")}
    instance |= dict.fromkeys(("study_instance_uid", "series_instance_uid", "accession_number"), "")
    connection.execute(
        sa.insert(INSTANCES).values(
            id=number + 1, attributes={}, display_sha256="", instance_bytes=1, received=created, **instance
        )
    )
    prediction = {"id": id, "instance_id": number + 1, "created": created}
    maps = {"map_height": 0, "map_width": 0, "heat_map": b"", "class_maps": b""}
    connection.execute(
        sa.insert(PREDICTIONS).values(
            artefact_sha256="a", priority=priority, margin=margin, body=to_json(PREDICTION), **prediction, **maps
        )
    )
    connection.execute(
        sa.insert(WORKLIST).values(
            prediction_id=id,
            instance_id=number + 1,
            created=created,
            newest=True,
            unread=unread,
            rank=PRIORITIES.index(priority),
            urgency=1e300 if margin is None else -margin,
            positive="",
            searched="",
        )
    )


@given(
    st.integers(0, 2),
    st.floats(allow_nan=False, allow_infinity=False),
    st.datetimes(timezones=st.just(UTC)),
    st.uuids().map(lambda uuid: uuid.hex),
)
def test_a_cursor_is_decoded_exactly(rank: int, urgency: float, created: datetime, id: str) -> None:
    cursor = cursors.encode_place(rank, urgency, created, id)

    assert cursors.decode_place(cursor) == (rank, urgency, created, id)
    assert len(cursor) <= 200  # the API's maximum


@given(st.text(max_size=200) | st.binary(max_size=120).map(lambda one: b64encode(one).decode()))
def test_any_text_is_a_cursor_or_refused(cursor: str) -> None:
    with suppress(InvalidRequest):
        rank, urgency, created, id = cursors.decode_place(cursor)
        assert math.isfinite(urgency)
        assert (rank >= 0, created.tzinfo, id.isalnum()) == (True, UTC, True)


@pytest.mark.parametrize("cursor", ["", "nonsense", "ä", "MCAxLjAgMjAyNg==", "A" * 200])
def test_an_invalid_cursor_is_refused(worklist: Worklist, cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        worklist.page(Filters(), 10, cursor)


def test_a_cursor_of_another_priority_is_refused(worklist: Worklist, add: Add) -> None:
    add(priority="HIGH")
    add(priority="HIGH")
    _, cursor = worklist.page(Filters(), 1, None)

    with pytest.raises(InvalidRequest):
        worklist.page(Filters(priority="STAT"), 1, cursor)


def test_entries_added_between_pages_shift_no_page(worklist: Worklist, add: Add) -> None:
    first, second = add(margin=5.0), add(margin=3.0)
    page, cursor = worklist.page(Filters(), 1, None)
    add(margin=9.0)
    between = add(margin=4.0)

    assert [entry.record.id for entry in page] == [first.id]
    rest, _ = worklist.page(Filters(), 10, cursor)
    assert [entry.record.id for entry in rest] == [between.id, second.id]


# Filters...


def test_filters_by_priority_finding_time_and_read_mark(worklist: Worklist, add: Add) -> None:
    mass = add(("Mass",), priority="HIGH")
    both = add(("Mass", "Effusion"), priority="HIGH", margin=0.0)
    none = add(priority="ROUTINE")
    worklist.mark(both.id, True, "AB")

    assert ids(worklist, Filters(priority="HIGH")) == [mass.id, both.id]
    assert ids(worklist, Filters(priority="STAT")) == []
    assert ids(worklist, Filters(finding="Effusion")) == [both.id]
    assert ids(worklist, Filters(finding="Mas")) == []
    assert ids(worklist, Filters(finding="%")) == []
    assert ids(worklist, Filters(read=True)) == [both.id]
    assert ids(worklist, Filters(read=False)) == [mass.id, none.id]
    assert ids(worklist, Filters(since=both.created)) == [both.id, none.id]
    assert ids(worklist, Filters(priority="HIGH", finding="Mass", read=False)) == [mass.id]


@pytest.mark.parametrize(
    ("q", "matches"),
    [
        ("doe", True),
        ("DOE", True),
        ("jane doe", True),
        ("doe^ja", True),
        ("Doe, Jane (Müller)", True),
        ("doe,jane", True),
        ("doe, smith", False),
        ("müll", True),
        ("MÜLLER", True),
        ("17-b", True),
        ("acc_9", True),
        ("acc%9", False),
        ("acc9", False),
        ("e^e", False),
        ("jane smith", False),
        ("", True),
        ("  ", True),
        ("%", False),
        ("\\", False),
        ("'; drop table worklist; --", False),
    ],
)
def test_search_words_match_name_id_and_accession_number(worklist: Worklist, add: Add, q: str, matches: bool) -> None:
    add(attributes={"PatientName": "Doe^Jane=Müller", "PatientID": "P/17-B"}, accession_number="ACC_9")

    assert len(ids(worklist, Filters(q=q))) == matches
    assert worklist.counts(Filters(q=q)).total == matches


def test_the_total_meets_the_filters_and_unread_counts_the_whole_list(worklist: Worklist, add: Add) -> None:
    for priority, number in (("STAT", 2), ("HIGH", 3), ("ROUTINE", 1)):
        for _ in range(number):
            last = add(priority=priority)
    worklist.mark(last.id, True, "")
    counts = worklist.counts(Filters(priority="HIGH"))

    assert counts.total == 3
    assert counts.oldest_stat == NOON
    assert counts.unread == {"STAT": 2, "HIGH": 3, "ROUTINE": 0}


def test_entries_are_counted_up_to_a_limit(worklist: Worklist, add: Add, monkeypatch: pytest.MonkeyPatch) -> None:
    for priority in ("STAT", "ROUTINE", "ROUTINE", "ROUTINE"):
        add(priority=priority)
    monkeypatch.setattr(module, "MOST_COUNTED", 2)

    counts = worklist.counts(Filters())

    assert counts.total == 2
    assert counts.unread == {"STAT": 1, "HIGH": 0, "ROUTINE": 2}


# One entry for one instance...


def test_only_the_newest_record_of_an_instance_is_listed(worklist: Worklist, records: Records, add: Add) -> None:
    old = add(sop_instance_uid="1.9", artefact_sha256="a" * 64)
    new = add(sop_instance_uid="1.9", artefact_sha256="b" * 64)
    late = add(sop_instance_uid="1.9", artefact_sha256="c" * 64, created=NOON - timedelta(days=1))

    assert ids(worklist) == [new.id]
    assert worklist.counts(Filters()).total == 1
    assert worklist.get(old.id).record.id == old.id  # can still be read

    records.delete(new.id)
    assert ids(worklist) == [old.id]
    records.delete(old.id)
    assert ids(worklist) == [late.id]
    records.delete(late.id)
    assert ids(worklist) == []


def test_concurrent_saves_and_deletes_leave_one_entry(
    worklist: Worklist, records: Records, add: Add, make: Make
) -> None:
    kept = add(sop_instance_uid="1.9", artefact_sha256="0" * 64)
    new = [make(sop_instance_uid="1.9", artefact_sha256=digit * 64) for digit in "123456789abcdef"]

    def save_and_delete(record: Record) -> None:
        records.save(record)
        records.delete(record.id)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(save_and_delete, new))

    assert ids(worklist) == [kept.id]


def test_saving_the_same_file_again_keeps_the_read_mark(
    worklist: Worklist, records: Records, add: Add, make: Make
) -> None:
    record = add(sop_instance_uid="1.9")
    worklist.mark(record.id, True, "AB")
    records.save(make(sop_instance_uid="1.9"))

    assert worklist.get(record.id).read_by == "AB"
    assert ids(worklist) == [record.id]


# The mark...


def test_a_read_mark_has_reader_and_time_and_can_be_removed(worklist: Worklist, add: Add) -> None:
    record = add()
    before = datetime.now(UTC)
    marked = worklist.mark(record.id, True, "AB")

    assert marked.read_at is not None
    assert before <= marked.read_at <= datetime.now(UTC)
    assert marked.read_by == "AB"
    assert worklist.get(record.id) == marked or worklist.get(record.id).read_at == marked.read_at

    unmarked = worklist.mark(record.id, False, "CD")
    assert (unmarked.read_at, unmarked.read_by) == (None, "")


def test_of_concurrent_readers_one_sets_the_mark(worklist: Worklist, add: Add) -> None:
    record = add()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda name: worklist.mark(record.id, True, name), "abcdefgh"))

    assert len({answer.read_by for answer in answers}) == 1
    assert len({answer.read_at for answer in answers}) == 1
    assert worklist.get(record.id).read_by == answers[0].read_by


@pytest.mark.parametrize("id", ["0" * 32, "x", "../0", ""])
def test_an_unknown_id_is_not_found(worklist: Worklist, id: str) -> None:
    with pytest.raises(NotFound):
        worklist.get(id)
    with pytest.raises(NotFound):
        worklist.mark(id, True, "")


# Query plans...


FILTERS = [Filters(), Filters(priority="HIGH"), Filters(read=False)]
ORDERS = [Order(), Order("received", True), Order("patient"), Order("study", True, True)]


@on_sqlite
@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_page_is_read_along_an_index(
    records: Records, worklist: Worklist, add: Add, filters: Filters, order: Order, deep: bool
) -> None:
    """The database sorts nothing but the first entries of each range, however long the list."""
    add(priority="HIGH"), add(priority="HIGH")
    cursor = worklist.page(filters, 1, None, order)[1] if deep else None
    plan = [step for _, _, step in query_plan(records.database, lambda: worklist.page(filters, 50, cursor, order))]

    index = f"ix_worklist_{order.by} (newest=? AND unread=? AND rank=?"
    read = [step for step in plan if step.startswith("SEARCH worklist") and "prediction_id=?" not in step]
    assert read
    assert all(step.startswith(f"SEARCH worklist USING COVERING INDEX {index}") for step in read)
    assert not [step for step in plan if step.startswith("SCAN") and not step.startswith("SCAN anon_")]


@on_postgresql
@pytest.mark.parametrize("deep", [False, True])
def test_a_page_is_read_along_an_index_on_a_server(records: Records, worklist: Worklist, add: Add, deep: bool) -> None:
    """Each range is read in its order from an index, by all three columns that name the range."""
    add(priority="HIGH"), add(priority="HIGH")
    for filters, order in product(FILTERS, ORDERS):
        cursor = worklist.page(filters, 1, None, order)[1] if deep else None
        plans = server_plans(records.database, lambda f=filters, o=order, c=cursor: worklist.page(f, 50, c, o))
        nodes = [node for plan in plans for node in below(plan)]

        scans = [node for node in nodes if node.get("Relation Name") == "worklist" and "unread" in str(node)]
        assert scans
        assert {node["Index Name"] for node in scans} == {f"ix_worklist_{order.by}"}
        assert all(name in node["Index Cond"] for node in scans for name in ("newest", "unread", "rank"))
        sorts = [node for node in nodes if "Sort" in node["Node Type"]]
        assert not any(node in scans for sort in sorts for node in below(sort, stop="Limit"))


FOUND = [Filters(finding="Mass"), Filters(finding="Mass", read=False), Filters(finding="Mass", priority="HIGH")]


@on_sqlite
@pytest.mark.parametrize("filters", FOUND)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_page_of_a_finding_is_read_along_an_index_of_the_positive_entries(
    records: Records, worklist: Worklist, add: Add, filters: Filters, order: Order, deep: bool
) -> None:
    """The index has all that is compared, so that entries without the finding are not looked up."""
    add(("Mass",), priority="HIGH"), add(("Mass",), priority="HIGH")
    cursor = worklist.page(filters, 1, None, order)[1] if deep else None
    plan = [step for _, _, step in query_plan(records.database, lambda: worklist.page(filters, 50, cursor, order))]

    read = [step for step in plan if "worklist" in step and "prediction_id=?" not in step]
    index = f"SEARCH worklist USING COVERING INDEX ix_worklist_positive_{order.by} (newest=? AND unread=?"
    assert read
    assert all(step.startswith(index) for step in read)


def drop_indices(records: Records, *names: str) -> None:
    """Drop indices of the worklist that are as good as the one that is meant, for two rows."""
    with records.database.write() as connection:
        for name in names:
            connection.exec_driver_sql(f"DROP INDEX ix_worklist_{name}")


@on_postgresql
@pytest.mark.parametrize("deep", [False, True])
def test_a_page_of_a_finding_is_read_along_such_an_index_on_a_server(
    records: Records, worklist: Worklist, add: Add, deep: bool
) -> None:
    add(("Mass",), priority="HIGH"), add(("Mass",), priority="HIGH")
    drop_indices(records, "instance_id", *(order.by for order in ORDERS))
    for filters, order in product(FOUND, ORDERS):
        cursor = worklist.page(filters, 1, None, order)[1] if deep else None
        plans = server_plans(records.database, lambda f=filters, o=order, c=cursor: worklist.page(f, 50, c, o))
        nodes = [node for plan in plans for node in below(plan)]

        scans = [node for node in nodes if node.get("Relation Name") == "worklist" and "unread" in str(node)]
        assert scans
        assert {(node["Node Type"], node["Index Name"]) for node in scans} == {
            ("Index Only Scan", f"ix_worklist_positive_{order.by}")
        }
        sorts = [node for node in nodes if "Sort" in node["Node Type"]]
        assert not any(node in scans for sort in sorts for node in below(sort, stop="Limit"))


@on_postgresql
def test_a_search_reads_the_index_of_the_documentation(
    records: Records, worklist: Worklist, add: Add, root: Path
) -> None:
    add()
    drop_indices(records, *(f"{kind}{order.by}" for kind in ("", "positive_") for order in ORDERS))
    index_texts(records.database, root)
    for filters in (Filters(q="doe"), Filters(q="doe jane", priority="HIGH", finding="Mass", read=False)):
        (plan,) = server_plans(records.database, lambda f=filters: worklist.page(f, 50, None), BITMAPS)

        assert "ix_worklist_searched" in {node.get("Index Name") for node in below(plan)}


@on_sqlite
@pytest.mark.parametrize("filters", [Filters(q="doe"), Filters(q="doe", finding="Mass", read=False)])
def test_a_search_scans_the_worklist_table_once(
    records: Records, worklist: Worklist, add: Add, filters: Filters
) -> None:
    """Only matching rows are sorted, and only the page's records are read."""
    add()
    plan = [step for _, _, step in query_plan(records.database, lambda: worklist.page(filters, 50, None))]

    assert [step for step in plan if step.startswith("SCAN") and not step.startswith("SCAN anon_")] == ["SCAN worklist"]


@on_sqlite
def test_entries_are_counted_with_an_index(records: Records, worklist: Worklist) -> None:
    plan = [step for _, _, step in query_plan(records.database, lambda: worklist.counts(Filters()))]
    of_finding = [step for _, _, step in query_plan(records.database, lambda: worklist.counts(FOUND[0]))]

    read = [step for step in plan if "worklist" in step]
    assert read
    assert all("COVERING INDEX" in step and "(newest=? AND unread=? AND rank=?)" in step for step in read)
    assert [step for step in of_finding if "COVERING INDEX ix_worklist_positive" in step]
    assert all("COVERING INDEX" in step for step in of_finding if "worklist" in step)


# Migration...


@pytest.fixture
def old(url: str) -> Iterator[Database]:
    """Return a database at the revision before the worklist."""
    database = Database(url)
    database.open()
    with database.write() as connection:
        command.downgrade(migrations(connection), "0003")
    yield database
    database.close()


def test_migrated_records_are_listed_as_unread(old: Database, make: Make) -> None:
    """Their entries are the same as if they were saved now."""
    body = to_json(replace(PREDICTION, findings=(finding("Mass", positive=True), finding("Effusion", positive=None))))
    instance = (
        "INSERT INTO instances (id, study_instance_uid, series_instance_uid, sop_instance_uid, "
        "accession_number, patient_name, patient_id, display_sha256, instance_file, instance_bytes, received) "
        "VALUES (1, '1', '1', '1', 'A-1', 'Doe^Jane', 'P1', 'd', 'f', 1, '2026-01-01 00:00:00.000000')"
    )
    maps = {"map_height": 0, "map_width": 0, "heat_map": b"", "class_maps": b""}
    with old.write() as connection:
        connection.exec_driver_sql(instance)
        for number in range(1203):  # more than a batch
            created = NOON + timedelta(seconds=number % 1201)
            connection.execute(
                sa.insert(PREDICTIONS).values(
                    id=f"{number:032x}",
                    instance_id=1,
                    artefact_sha256=f"{number}",
                    created=created,
                    priority="HIGH",
                    margin=1.5,
                    body=body,
                    **maps,
                )
            )
    with old.write() as connection:
        command.upgrade(migrations(connection), "head")

    worklist = Worklist(old)
    assert ids(worklist, Filters(q="doe a-1", finding="Mass", read=False, priority="HIGH")) == [f"{1200:032x}"]
    assert ids(worklist, Filters(finding="Effusion")) == []
    with old.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(WORKLIST)) == 1203
        (urgency,) = connection.scalars(sa.select(WORKLIST.c.urgency).distinct())
        assert urgency == pytest.approx(-math.log(3))  # Mass over its threshold, as revision 0009 computes it


def test_what_entries_are_sorted_by_is_computed_for_older_records(records: Records, add: Add) -> None:
    attributes = {"PatientName": "Zoë^" + "É" * 80, "PatientID": "7"}
    add(attributes=attributes | {"StudyDate": "20260101", "StudyTime": "093000"})
    add(attributes={})
    keys = sa.select(WORKLIST.c.prediction_id, WORKLIST.c.patient_key, WORKLIST.c.study_key)
    with records.database.write() as connection:
        before = connection.execute(keys).all()
        command.downgrade(migrations(connection), "0011")
        command.upgrade(migrations(connection), "head")
        after = connection.execute(keys).all()

    assert sorted(row.study_key for row in before) == ["", "20260101093000"]
    assert sorted(after) == sorted(before)
