"""Measurements are kept with their record, who and when; each change orders the report anew."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from service.dicom.grid import Grid
from service.errors import Conflict, NotFound
from service.storage import measurements as module
from service.storage.changes import Changes
from service.storage.measurements import Measurements
from service.storage.outbox import Order, Outbox
from service.storage.records import Records
from service.storage.tables import MEASUREMENTS
from service.triage.measurement import Measurement
from tests.service.storage.conftest import Make

GRID = Grid(300, 200, 1.0, (0.14, 0.14), "ImagerPixelSpacing")
PLAIN = Grid(300, 200, 2.0, None, None)
LINE = ((1.5, 2.25), (30.0, 40.0))
LEASE = timedelta(minutes=5)


@pytest.fixture
def measurements(records: Records) -> Measurements:
    return Measurements(records.database)


@pytest.fixture
def id(records: Records, make: Make) -> str:
    return records.save(make(), [Order("pacs", "sr"), Order("pacs", "segmentation")]).id


def test_they_are_shown_with_name_and_time_until_they_are_deleted_and_stay_in_the_table(
    measurements: Measurements, records: Records, id: str
) -> None:
    before = datetime.now(UTC)
    line = measurements.add(id, "length", LINE, GRID, "AB")
    angle = measurements.add(id, "angle", (*LINE, (0.0, 0.0)), PLAIN, "CD")

    assert measurements.list(id) == records.get(id).measurements == (line, angle)
    assert before <= line.at <= angle.at <= datetime.now(UTC)
    assert (line.kind, line.points, line.grid, line.by) == ("length", LINE, GRID, "AB")
    assert (records.get(id).revision, records.get(id).revised) == (2, angle.at)

    measurements.delete(id, line.id, "EF")

    assert measurements.list(id) == (angle,)
    record = records.get(id)
    assert (record.revision, record.measurements) == (3, (angle,))
    assert record.revised is not None
    assert record.revised > angle.at
    assert [summary.revision for summary in records.list(1)[0]] == [3]
    with records.database.read() as connection:
        (kept,) = connection.execute(sa.select(MEASUREMENTS).where(MEASUREMENTS.c.id == line.id)).all()
    assert (kept.made_by, kept.deleted_by, kept.deleted_at) == ("AB", "EF", record.revised)
    kinds = [(change.kind, change.priority) for change in Changes(records.database).after(0)]
    assert kinds == [("new", "STAT"), *3 * [("measured", "STAT")]]


def test_they_are_deleted_with_their_record(measurements: Measurements, records: Records, id: str) -> None:
    measurements.add(id, "length", LINE, GRID, "AB")

    records.delete(id)

    with records.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(MEASUREMENTS)) == 0


def test_what_does_not_exist_is_not_found(measurements: Measurements, make: Make, records: Records, id: str) -> None:
    line = measurements.add(id, "length", LINE, GRID, "AB")
    other = records.save(make(sop_instance_uid="1.9", display_sha256="9" * 64)).id
    measurements.delete(id, line.id, "AB")

    for unknown in ("0" * 32, "x", ""):
        with pytest.raises(NotFound):
            measurements.list(unknown)
        with pytest.raises(NotFound):
            measurements.add(unknown, "length", LINE, GRID, "AB")
    for prediction, measurement in ((id, line.id), (id, "x"), (other, line.id)):
        with pytest.raises(NotFound):
            measurements.delete(prediction, measurement, "AB")
    assert records.get(id).revision == 2


def test_there_is_a_limit(measurements: Measurements, id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", 2)
    monkeypatch.setattr(module, "MAX_KEPT", 3)
    added = [measurements.add(id, "length", LINE, GRID, "AB") for _ in range(2)]

    with pytest.raises(Conflict) as many:
        measurements.add(id, "length", LINE, GRID, "AB")
    measurements.delete(id, added[0].id, "AB")
    measurements.add(id, "length", LINE, GRID, "AB")
    measurements.delete(id, added[1].id, "AB")
    with pytest.raises(Conflict):
        measurements.add(id, "length", LINE, GRID, "AB")

    assert many.value.code == "too_many_measurements"


def test_of_concurrent_readers_none_exceeds_the_limit(
    measurements: Measurements, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SHOWN", 3)

    def add(name: str) -> Measurement | None:
        try:
            return measurements.add(id, "length", LINE, GRID, name)
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        added = [one for one in pool.map(add, "abcdefgh") if one]

    assert len(added) == len(measurements.list(id)) == 3


@pytest.fixture
def outbox(records: Records) -> Iterator[Outbox]:
    return Outbox(records.database)


def states(outbox: Outbox, id: str) -> dict[str, str]:
    return {str(entry.object): entry.state for entry in outbox.list(id)}


def test_each_change_orders_the_report_anew_where_it_was_ordered(
    measurements: Measurements, outbox: Outbox, id: str
) -> None:
    for state in ("sent", "failed"):
        delivery = outbox.claim("pacs", LEASE)
        assert delivery is not None
        outbox.finish(delivery, state)
    assert set(states(outbox, id).values()) == {"sent", "failed"}

    line = measurements.add(id, "length", LINE, GRID, "AB")

    assert states(outbox, id)["sr"] == "waiting"
    assert states(outbox, id)["segmentation"] != "waiting"
    again = outbox.claim("pacs", LEASE)
    assert again is not None
    outbox.finish(again, "sent")
    measurements.delete(id, line.id, "AB")
    assert states(outbox, id)["sr"] == "waiting"


def test_an_attempt_under_way_does_not_end_the_order_of_the_newer_report(
    measurements: Measurements, outbox: Outbox, records: Records, make: Make
) -> None:
    id = records.save(make(sop_instance_uid="1.9", display_sha256="9" * 64), [Order("archive", "sr")]).id
    earlier = outbox.claim("archive", LEASE)
    assert earlier is not None

    measurements.add(id, "length", LINE, GRID, "AB")
    newer = outbox.claim("archive", LEASE)
    outbox.finish(earlier, "sent")

    assert newer is not None
    assert (newer.prediction_id, newer.attempts) == (id, 1)
    assert states(outbox, id) == {"sr": "waiting"}
    outbox.finish(newer, "sent")
    assert states(outbox, id) == {"sr": "sent"}


def test_a_record_without_orders_gets_none(
    measurements: Measurements, outbox: Outbox, records: Records, make: Make
) -> None:
    id = records.save(make(sop_instance_uid="1.9", display_sha256="9" * 64)).id

    measurements.add(id, "length", LINE, GRID, "AB")

    assert outbox.list(id) == ()
