"""Search for studies that have records, by their attributes, newest first."""

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
    """Queries on the tables of instances and predictions. Blocking; raises as `Records`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, criteria: Sequence[Criterion], limit: int, offset: int) -> tuple[str, ...]:
        """Return the UIDs of studies with an instance that matches every criterion, last received first."""
        study = INSTANCES.c.study_instance_uid
        has_record = sa.exists().where(PREDICTIONS.c.instance_id == INSTANCES.c.id)
        matching = (
            sa.select(study)
            .where(has_record, *(criterion.sql(_column(criterion.keyword)) for criterion in criteria))
            .group_by(study)
            .order_by(sa.func.max(INSTANCES.c.received).desc(), study)
            .limit(limit)
            .offset(offset)
        )
        with self._database.read() as connection:
            return tuple(connection.scalars(matching))

    def records(self, studies: Sequence[str]) -> tuple[tuple[Summary, ...], ...]:
        """Return the records of each study, oldest first, in the order of `studies`, without those that have none."""
        matching = SUMMARIES.where(INSTANCES.c.study_instance_uid.in_(studies))
        with self._database.read() as connection:
            selected = connection.execute(matching.order_by(PREDICTIONS.c.created, PREDICTIONS.c.id)).all()
        by_study: dict[str, list[Summary]] = {study: [] for study in studies}
        for row in selected:
            by_study[row.study_instance_uid].append(rows.summary(row._mapping))
        return tuple(tuple(records) for records in by_study.values() if records)


def _column(keyword: str) -> sa.ColumnElement[str]:
    """Return the column of an attribute, or its value in the JSON of all stored attributes."""
    if keyword in _COLUMNS:
        return _COLUMNS[keyword]
    return sa.func.coalesce(INSTANCES.c.attributes[keyword].as_string(), "")
