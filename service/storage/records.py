"""What was answered, kept: one instance, one record per artefact."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.errors import Conflict, NotFound, Overloaded
from service.storage import changes, rows, worklist
from service.storage import cursor as cursors
from service.storage.database import Database
from service.storage.outbox import Order, insert
from service.storage.record import Record, Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, RECORDS, SUMMARIES

_ATTEMPTS = 8  # each lost race leaves something to read, so the second nearly always ends it


class Records:
    """The table of records. Blocking: call it from a thread; safe from many threads, processes and replicas.

    Key: SOP Instance UID, display hash, artefact digest. While it runs, any method may raise StorageFull (nothing can
    be written) or Overloaded (the database does not answer, or is locked for too long).

    Parameters
    ----------
    url
        SQLAlchemy's: `sqlite:////folder/file`, `postgresql+psycopg://user@host/name`.

    Attributes
    ----------
    database
        The one connected to; the other tables are in it, too.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def open(self) -> None:
        """Connect, and bring the schema to its newest revision; several may do so at once.

        Raises
        ------
        ConfigurationError
            The URL is wrong, the folder is not writable, the database unreachable, or written by a newer version.
        """
        self.database.open()

    def close(self) -> None:
        """Give back all connections."""
        self.database.close()

    def save(self, record: Record, orders: Sequence[Order] = ()) -> Record:
        """Commit a record and give back the one that stands: this one, or the one there was under the same key.

        With it, where it is new, what is to be sent of it.

        Where another stands, its `instance_file` differs, and the caller deletes the file it had put:
        `if stands.instance_file != record.instance_file: instances.delete(record.instance_file)`.
        This is also so where the record is new (a new artefact) but the instance was there already.

        Raises
        ------
        Conflict
            The SOP Instance UID is known with other display values.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self.database.write() as connection:
                    return _save(connection, record, orders)
            except IntegrityError:  # another writer was first, or deleted the instance: look again
                continue
        raise Overloaded("the record could not be saved beside other writers")

    def find(self, sop_instance_uid: str, display_sha256: str, artefact_sha256: str) -> Record | None:
        """Look a key up before computing.

        Raises
        ------
        Conflict
            The SOP Instance UID is known with other display values.
        """
        with self.database.read() as connection:
            instance = _instance(connection, sop_instance_uid, display_sha256)
            return None if instance is None else _standing(connection, instance, artefact_sha256)

    def get(self, id: str) -> Record:
        """Read one record.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self.database.read() as connection:
            row = connection.execute(RECORDS.where(PREDICTIONS.c.id == id)).one_or_none()
        if row is None:
            raise NotFound("no such prediction")
        return rows.record(row._mapping)

    def list(self, limit: int, cursor: str | None = None) -> tuple[tuple[Summary, ...], str | None]:
        """Read a page, newest first, and the cursor of the next page (None: this was the last).

        Raises
        ------
        InvalidRequest
            The cursor is not one given out here.
        """
        key = sa.tuple_(PREDICTIONS.c.created, PREDICTIONS.c.id)
        newest_first = SUMMARIES.order_by(PREDICTIONS.c.created.desc(), PREDICTIONS.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            newest_first = newest_first.where(key < cursors.decode(cursor))
        with self.database.read() as connection:
            found = connection.execute(newest_first).all()
        page = tuple(rows.summary(row._mapping) for row in found[:limit])
        return page, cursors.encode(page[-1].created, page[-1].id) if len(found) > limit else None

    def delete(self, id: str) -> str | None:
        """Delete a record, and its instance if no other record uses it; then the file's name, for the caller to remove.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self.database.write() as connection:
            instance = connection.scalar(sa.select(PREDICTIONS.c.instance_id).where(PREDICTIONS.c.id == id))
            # Locked first: a writer that adds a record to this instance waits, or we see its record.
            file = connection.scalar(
                sa.select(INSTANCES.c.instance_file).where(INSTANCES.c.id == instance).with_for_update()
            )
            if not connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.id == id)).rowcount:
                raise NotFound("no such prediction")
            worklist.leave(connection, instance)
            unused = ~sa.exists().where(PREDICTIONS.c.instance_id == INSTANCES.c.id)
            gone = connection.execute(sa.delete(INSTANCES).where(INSTANCES.c.id == instance, unused)).rowcount
            changes.note(connection, "deleted", id)
            return file if gone else None

    def files(self) -> frozenset[str]:
        """Names of all instances' files, for `Instances.sweep`."""
        with self.database.read() as connection:
            return frozenset(connection.scalars(sa.select(INSTANCES.c.instance_file)))


def _save(connection: sa.Connection, record: Record, orders: Sequence[Order]) -> Record:
    instance = _instance(connection, record.sop_instance_uid, record.display_sha256)
    if instance is None:
        instance = _insert_instance(connection, record)
    worklist.lock(connection, instance)
    stands = _standing(connection, instance, record.artefact_sha256)
    if stands is None:
        connection.execute(sa.insert(PREDICTIONS).values(rows.prediction_values(record, instance)))
        worklist.enter(connection, record, instance)
        changes.note(connection, "new", record.id, record.prediction.priority)
        insert(connection, record.id, orders)
        stands = rows.record(connection.execute(RECORDS.where(PREDICTIONS.c.id == record.id)).one()._mapping)
    return stands


def _instance(connection: sa.Connection, sop_instance_uid: str, display_sha256: str) -> int | None:
    wanted = sa.select(INSTANCES.c.id, INSTANCES.c.display_sha256)
    row = connection.execute(wanted.where(INSTANCES.c.sop_instance_uid == sop_instance_uid)).one_or_none()
    if row is not None and row.display_sha256 != display_sha256:
        raise Conflict("(0008,0018) SOPInstanceUID is known already, with other display values")
    return None if row is None else int(row.id)


def _standing(connection: sa.Connection, instance: int, artefact_sha256: str) -> Record | None:
    key = (PREDICTIONS.c.instance_id == instance) & (PREDICTIONS.c.artefact_sha256 == artefact_sha256)
    row = connection.execute(RECORDS.where(key)).one_or_none()
    return None if row is None else rows.record(row._mapping)


def _insert_instance(connection: sa.Connection, record: Record) -> int:
    inserted = sa.insert(INSTANCES).values(rows.instance_values(record)).returning(INSTANCES.c.id)
    return int(connection.execute(inserted).scalar_one())
