"""The statements of one transaction that reads or saves a record."""

from collections.abc import Sequence
from datetime import UTC, datetime

import sqlalchemy as sa

from service.errors import Conflict, Overloaded
from service.storage import entries, measurements, rows
from service.storage.changes import add_change
from service.storage.outbox import Order, add_orders, insert_orders
from service.storage.record import Identity, Record, Summary
from service.storage.tables import INSTANCES, PREDICTIONS


def save(connection: sa.Connection, record: Record, orders: Sequence[Order], backfilled: bool) -> Record:
    """Insert a record unless there is one under its key, and return the one that is there; as `Records.save`."""
    instance = instance_of(connection, Identity.of(record))
    if instance is None:
        instance = _insert_instance(connection, record)
    entries.lock_instance(connection, instance)
    saved = existing(connection, instance, record.artefact_sha256)
    if saved is None:
        connection.execute(sa.insert(PREDICTIONS).values(rows.prediction_values(record, instance)))
        if entries.insert_entry(connection, record, instance, backfilled):
            insert_orders(connection, record.id, orders)
            add_change(connection, "new", record.id, record.prediction.priority)
        saved = rows.record(connection.execute(rows.RECORDS.where(PREDICTIONS.c.id == record.id)).one()._mapping)
    elif not backfilled:
        arrive(connection, saved, orders)
    return saved


def arrive(connection: sa.Connection, record: Summary, orders: Sequence[Order]) -> None:
    """Make a record that a back-fill has added one that readers wait for; others stay as they are."""
    instance = connection.scalar(sa.select(PREDICTIONS.c.instance_id).where(PREDICTIONS.c.id == record.id))
    if instance is None:  # deleted meanwhile
        return
    entries.lock_instance(connection, instance)
    if entries.arrive(connection, record.id, instance, datetime.now(UTC)):
        add_orders(connection, record.id, orders)
        add_change(connection, "new", record.id, record.prediction.priority)


def selected(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Record | None:
    """Return the record that meets a condition, if any."""
    row = connection.execute(rows.RECORDS.where(condition)).one_or_none()
    return None if row is None else rows.record(row._mapping, measurements.selected(connection, row.id))


def instance_of(connection: sa.Connection, identity: Identity) -> int | None:
    """Return the number of a stored instance, or None.

    Raises
    ------
    Conflict, Overloaded
        As `Records.find`.
    """
    instances = sa.select(INSTANCES.c.id, INSTANCES.c.display_sha256, INSTANCES.c.identity_version)
    row = connection.execute(instances.where(INSTANCES.c.sop_instance_uid == identity.sop_instance_uid)).one_or_none()
    if row is None:
        return None
    if row.identity_version != identity.version:
        raise Overloaded("another version of the service has just stored the instance; send it again")
    if row.display_sha256 != identity.display_sha256:
        raise Conflict("(0008,0018) SOPInstanceUID is already stored with other display values")
    return int(row.id)


def existing(connection: sa.Connection, instance: int, artefact_sha256: str) -> Record | None:
    """Return the record of an instance and an artefact, or None."""
    key = (PREDICTIONS.c.instance_id == instance) & (PREDICTIONS.c.artefact_sha256 == artefact_sha256)
    return selected(connection, key)


def _insert_instance(connection: sa.Connection, record: Record) -> int:
    inserted = sa.insert(INSTANCES).values(rows.instance_values(record)).returning(INSTANCES.c.id)
    return int(connection.execute(inserted).scalar_one())
