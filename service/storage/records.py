"""The stored records: per instance, one record of each artefact."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service.errors import NotFound, Overloaded
from service.storage import cursor as cursors
from service.storage import entries, rows, saving
from service.storage.changes import add_change
from service.storage.database import Database
from service.storage.migration import DEFAULT_RULE
from service.storage.outbox import Order
from service.storage.record import Identity, Record, Summary, check_id
from service.storage.tables import INSTANCES, PREDICTIONS, WORKLIST
from service.triage.rule import Rule

_BATCH = 500  # values in one query
_ATTEMPTS = 8  # a lost race leaves a row to read, so the second attempt nearly always succeeds


class Records:
    """The table of records. Blocking: call it from a thread; safe from many threads, processes and replicas.

    The key is SOP Instance UID, hash of the display values and hash of the artefact. Any method may raise StorageFull
    (the database cannot be written) or Overloaded (it does not answer, or is locked for too long).

    Parameters
    ----------
    url
        SQLAlchemy URL: `sqlite:////folder/file`, `postgresql+psycopg://user@host/name`.

    Attributes
    ----------
    database
        The database of all tables.
    """

    def __init__(self, url: str) -> None:
        self.database = Database(url)

    def open(self, rule: Rule = DEFAULT_RULE) -> None:
        """Connect, and migrate to the newest revision; several processes may do so at once.

        Parameters
        ----------
        rule
            The triage rule in force; see `Database.open`.

        Raises
        ------
        ConfigurationError
            As `Database.open`.
        """
        self.database.open(rule)

    def close(self) -> None:
        """Close all connections."""
        self.database.close()

    def save(self, record: Record, orders: Sequence[Order] = (), backfilled: bool = False) -> Record:
        """Commit a record, and return the record under its key: this one, or the one that was stored before.

        Orders are added to the outbox in the same transaction, if the record is new or a back-fill has added it.

        If the instance was stored before, the returned record names its file, and the caller deletes its own:
        `if saved.instance_file != record.instance_file: instances.delete(record.instance_file)`.

        Parameters
        ----------
        backfilled
            Whether a back-fill saves it: the radiograph is old, and no reader waits for it. See `insert_entry`.

        Raises
        ------
        Conflict
            The SOP Instance UID is stored with other display values.
        Overloaded
            A replica of another version has stored it since `stored` was asked.
        """
        for _ in range(_ATTEMPTS):
            try:
                with self.database.write() as connection:
                    return saving.save(connection, record, orders, backfilled)
            except IntegrityError:  # another writer saved the same key, or deleted the instance: try again
                continue
        raise Overloaded("the record could not be saved because of other writers")

    def find(self, identity: Identity, artefact_sha256: str) -> Record | None:
        """Return the record of an instance and an artefact, or None.

        Raises
        ------
        Conflict
            The SOP Instance UID is stored with other display values.
        Overloaded
            It is stored under another version of the identity rule: see `renew`.
        """
        with self.database.read() as connection:
            instance = saving.instance_of(connection, identity)
            return None if instance is None else saving.existing(connection, instance, artefact_sha256)

    def arrive(self, record: Summary, orders: Sequence[Order]) -> None:
        """Put a stored record, whose radiograph has arrived, on the list as unread if a back-fill has added it."""
        of_backfill = sa.select(WORKLIST.c.backfilled).where(WORKLIST.c.prediction_id == record.id)
        with self.database.read() as connection:
            backfilled = connection.scalar(of_backfill)
        if backfilled:
            with self.database.write() as connection:
                saving.arrive(connection, record, orders)

    def stored(self, sop_instance_uid: str) -> Summary | None:
        """Return a record of an instance, whatever its artefact; None if the instance is not stored."""
        of_instance = rows.SUMMARIES.where(INSTANCES.c.sop_instance_uid == sop_instance_uid).limit(1)
        with self.database.read() as connection:
            row = connection.execute(of_instance).one_or_none()
        return None if row is None else rows.summary(row._mapping)

    def renew(self, instance_file: str, identity: Identity) -> None:
        """Store the hash of a file under today's version of the identity rule.

        The hashes of two versions say nothing of each other: the caller has compared the files.
        """
        values = {"display_sha256": identity.display_sha256, "identity_version": identity.version}
        with self.database.write() as connection:
            connection.execute(sa.update(INSTANCES).where(INSTANCES.c.instance_file == instance_file).values(values))

    def get(self, id: str) -> Record:
        """Return one record.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self.database.read() as connection:
            record = saving.selected(connection, PREDICTIONS.c.id == id)
        if record is None:
            raise NotFound("no such prediction")
        return record

    def known(self, ids: Sequence[str]) -> frozenset[str]:
        """Return those of the ids that have a record."""
        return self._those_in(PREDICTIONS.c.id, ids)

    def known_files(self, names: Sequence[str]) -> frozenset[str]:
        """Return those of the names of files that have a record, for `Instances.sweep`."""
        return self._those_in(INSTANCES.c.instance_file, names)

    def list(self, limit: int, cursor: str | None = None) -> tuple[tuple[Summary, ...], str | None]:
        """Return a page, newest first, and the cursor of the next page (None after the last).

        Raises
        ------
        InvalidRequest
            The cursor is not one that this method returned.
        """
        key = sa.tuple_(PREDICTIONS.c.created, PREDICTIONS.c.id)
        newest_first = rows.SUMMARIES.order_by(PREDICTIONS.c.created.desc(), PREDICTIONS.c.id.desc()).limit(limit + 1)
        if cursor is not None:
            newest_first = newest_first.where(key < cursors.decode(cursor))
        with self.database.read() as connection:
            selected = connection.execute(newest_first).all()
        page = tuple(rows.summary(row._mapping) for row in selected[:limit])
        return page, cursors.encode(page[-1].created, page[-1].id) if len(selected) > limit else None

    def delete(self, id: str) -> str | None:
        """Delete a record, and its instance if no other record uses it.

        Returns
        -------
        str or None
            Name of the file if the instance was deleted; the caller deletes the file.

        Raises
        ------
        NotFound
        """
        check_id(id)
        with self.database.write() as connection:
            instance = connection.scalar(sa.select(PREDICTIONS.c.instance_id).where(PREDICTIONS.c.id == id))
            # Locked first: a writer that adds a record to this instance waits, or its record is visible here.
            file = connection.scalar(
                sa.select(INSTANCES.c.instance_file).where(INSTANCES.c.id == instance).with_for_update()
            )
            entries.lock_entries(connection, instance)
            if not connection.execute(sa.delete(PREDICTIONS).where(PREDICTIONS.c.id == id)).rowcount:
                raise NotFound("no such prediction")
            entries.list_newest(connection, instance)
            unused = ~sa.exists().where(PREDICTIONS.c.instance_id == INSTANCES.c.id)
            deleted = connection.execute(sa.delete(INSTANCES).where(INSTANCES.c.id == instance, unused)).rowcount
            add_change(connection, "deleted", id)
            return file if deleted else None

    def _those_in(self, column: sa.Column[str], values: Sequence[str]) -> frozenset[str]:
        with self.database.read() as connection:
            batches = (values[start : start + _BATCH] for start in range(0, len(values), _BATCH))
            selects = (sa.select(column).where(column.in_(batch)) for batch in batches)
            return frozenset(value for select in selects for value in connection.scalars(select))
