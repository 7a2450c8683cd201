"""Studies of what was answered: found by what the tags say, newest first."""

from collections.abc import Sequence

import sqlalchemy as sa

from service.storage import rows
from service.storage.criteria import Criterion
from service.storage.database import Database
from service.storage.record import Summary
from service.storage.tables import INSTANCES, PREDICTIONS, SEARCHED, SUMMARIES

_COLUMNS: dict[str, sa.ColumnElement[str]] = {
    "StudyInstanceUID": INSTANCES.c.study_instance_uid,
    "AccessionNumber": INSTANCES.c.accession_number,
    **{keyword: INSTANCES.c[column] for column, keyword in SEARCHED.items()},
}


class Studies:
    """Queries on the tables of instances and predictions. Blocking, as `Records` is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, criteria: Sequence[Criterion], limit: int, offset: int) -> tuple[str, ...]:
        """Find studies of which an instance fulfils every criterion: Study Instance UIDs, last received first."""
        study = INSTANCES.c.study_instance_uid
        answered = sa.exists().where(PREDICTIONS.c.instance_id == INSTANCES.c.id)
        wanted = (
            sa.select(study)
            .where(answered, *(one.sql(_column(one.keyword)) for one in criteria))
            .group_by(study)
            .order_by(sa.func.max(INSTANCES.c.received).desc(), study)
            .limit(limit)
            .offset(offset)
        )
        with self._database.read() as connection:
            return tuple(connection.scalars(wanted))

    def records(self, studies: Sequence[str]) -> tuple[tuple[Summary, ...], ...]:
        """Read what there is of each study, in the order given, the oldest record first; a study may be gone."""
        wanted = SUMMARIES.where(INSTANCES.c.study_instance_uid.in_(studies))
        with self._database.read() as connection:
            found = connection.execute(wanted.order_by(PREDICTIONS.c.created, PREDICTIONS.c.id)).all()
        of: dict[str, list[Summary]] = {study: [] for study in studies}
        for row in found:
            of[row.study_instance_uid].append(rows.summary(row._mapping))
        return tuple(tuple(records) for records in of.values() if records)


def _column(keyword: str) -> sa.ColumnElement[str]:
    """The column of an attribute, or its place in the JSON of all that are kept."""
    if keyword in _COLUMNS:
        return _COLUMNS[keyword]
    return sa.func.coalesce(INSTANCES.c.attributes[keyword].as_string(), "")
