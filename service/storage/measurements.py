"""The measurements of records: made and deleted by readers, and kept for the trail when they are deleted."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa

from service.dicom.grid import Grid
from service.errors import Conflict, NotFound
from service.objects.kinds import Kind
from service.storage import rows
from service.storage.changes import add_change
from service.storage.database import Database
from service.storage.entries import require_entry
from service.storage.outbox import order_anew
from service.storage.tables import MEASUREMENTS
from service.triage import measurement as measured
from service.triage.measurement import Measurement, Point
from service.triage.rule import PRIORITIES

MAX_SHOWN = 50  # measurements of one record; far more than a person makes on one radiograph
MAX_KEPT = 500  # with those that were deleted


class Measurements:
    """The table of measurements. Blocking; safe from many threads, processes and replicas.

    Each change is one transaction, which also orders the record's report anew for every destination that it was
    ordered for.

    Parameters
    ----------
    database
        An open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, prediction_id: str) -> tuple[Measurement, ...]:
        """Return the measurements of a record, oldest first, without those that were deleted.

        Raises
        ------
        NotFound
        """
        with self._database.read() as connection:
            require_entry(connection, prediction_id)
            return _shown(selected(connection, prediction_id))

    def add(
        self, prediction_id: str, kind: measured.Kind, points: tuple[Point, ...], grid: Grid, by: str
    ) -> Measurement:
        """Add a measurement to a record.

        Raises
        ------
        NotFound
        Conflict
            `too_many_measurements`
        """
        with self._database.write() as connection:
            rank = require_entry(connection, prediction_id, lock=True)
            stored = selected(connection, prediction_id)
            if len(_shown(stored)) >= MAX_SHOWN or len(stored) >= MAX_KEPT:
                raise Conflict(
                    f"a radiograph has at most {MAX_SHOWN} measurements, and {MAX_KEPT} with those that were deleted",
                    "too_many_measurements",
                )
            made = Measurement(uuid4().hex, kind, points, grid, datetime.now(UTC), by)
            connection.execute(sa.insert(MEASUREMENTS).values(rows.measurement_values(made, prediction_id)))
            _announce(connection, prediction_id, rank)
        return made

    def delete(self, prediction_id: str, id: str, by: str) -> None:
        """Delete a measurement; the table keeps it, with the name and the time.

        Raises
        ------
        NotFound
            There is no such record, or no such measurement of it, or it was deleted before.
        """
        shown = (MEASUREMENTS.c.prediction_id == prediction_id) & (MEASUREMENTS.c.id == id)
        shown &= MEASUREMENTS.c.deleted_at.is_(None)
        values = {"deleted_at": datetime.now(UTC), "deleted_by": by}
        with self._database.write() as connection:
            rank = require_entry(connection, prediction_id, lock=True)
            if not connection.execute(sa.update(MEASUREMENTS).where(shown).values(values)).rowcount:
                raise NotFound("no such measurement")
            _announce(connection, prediction_id, rank)


def selected(connection: sa.Connection, prediction_id: str) -> Sequence[sa.RowMapping]:
    """Return the rows of a record's measurements, also of deleted ones, oldest first."""
    of_record = sa.select(MEASUREMENTS).where(MEASUREMENTS.c.prediction_id == prediction_id)
    return connection.execute(of_record.order_by(MEASUREMENTS.c.made_at, MEASUREMENTS.c.id)).mappings().all()


def _shown(stored: Sequence[sa.RowMapping]) -> tuple[Measurement, ...]:
    return tuple(rows.measurement(row) for row in stored if row["deleted_at"] is None)


def _announce(connection: sa.Connection, prediction_id: str, rank: int) -> None:
    order_anew(connection, prediction_id, Kind.SR)
    add_change(connection, "measured", prediction_id, PRIORITIES[rank])
