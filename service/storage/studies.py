"""Search for studies that have records, by their attributes, newest first."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from service.storage import rows
from service.storage.criteria import Criterion, Like
from service.storage.database import Database
from service.storage.record import Summary
from service.storage.tables import INSTANCES, PREDICTIONS, SEARCHED, name_start, study_day

_COLUMNS = {keyword: column for column, keyword in SEARCHED.items()} | {
    "StudyInstanceUID": "study_instance_uid",
    "AccessionNumber": "accession_number",
}
_BATCH = 100  # studies in one query
_LONGEST_BEGINNING = 32  # characters; well below what `name_start` has, where small letters may depend on the next


class Studies:
    """Queries on the tables of instances and predictions. Blocking; raises as `Records`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, criteria: Sequence[Criterion], limit: int, offset: int) -> tuple[str, ...]:
        """Return the UIDs of studies with an instance that matches every criterion, last received first."""
        with self._database.read() as connection:
            return tuple(row.study_instance_uid for row in connection.execute(_last(criteria, limit).offset(offset)))

    def records(self, studies: Sequence[str]) -> tuple[tuple[Summary, ...], ...]:
        """Return the records of each study, oldest first, in the order of `studies`, without those that have none."""
        with self._database.read() as connection:
            return _records(connection, studies)

    def all(self, criteria: Sequence[Criterion]) -> Iterator[tuple[Summary, ...]]:
        """Yield the records of each study that `find` finds, as all of them are at one moment: none comes twice."""
        after: sa.ColumnElement[bool] = sa.true()
        with self._database.read() as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            while studies := connection.execute(_last(criteria, _BATCH).where(after)).all():
                yield from _records(connection, [row.study_instance_uid for row in studies])
                uid, received = studies[-1]
                same = (INSTANCES.c.received == received) & (INSTANCES.c.study_instance_uid <= uid)
                after = (INSTANCES.c.received <= received) & ~same  # the first can be looked up in an index


def _records(connection: sa.Connection, studies: Sequence[str]) -> tuple[tuple[Summary, ...], ...]:
    matching = rows.SUMMARIES.where(INSTANCES.c.study_instance_uid.in_(studies))
    by_study: dict[str, list[Summary]] = {study: [] for study in studies}
    for row in connection.execute(matching.order_by(PREDICTIONS.c.created, PREDICTIONS.c.id)):
        by_study[row.study_instance_uid].append(rows.summary(row._mapping))
    return tuple(tuple(records) for records in by_study.values() if records)


def _last(criteria: Sequence[Criterion], limit: int) -> sa.Select[Any, Any]:
    """Return the query for the studies that match, each with the time of its last instance that does."""
    return (
        sa.select(INSTANCES.c.study_instance_uid, INSTANCES.c.received)
        .where(*_conditions(INSTANCES, criteria), ~_another_is_newer(criteria))
        .order_by(INSTANCES.c.received.desc(), INSTANCES.c.study_instance_uid)
        .limit(limit)
    )


def _another_is_newer(criteria: Sequence[Criterion]) -> sa.Exists:
    """Whether another instance of the study matches that was received later: each study stands at its last one.

    Groups would be made of all that match before the first is known. So the newest are read along an index, until the
    page is full.
    """
    other = INSTANCES.alias("other")
    later = sa.tuple_(other.c.received, other.c.id) > sa.tuple_(INSTANCES.c.received, INSTANCES.c.id)
    same_study = other.c.study_instance_uid == INSTANCES.c.study_instance_uid
    return sa.exists().where(same_study, later, *_conditions(other, criteria))


def _conditions(instances: sa.FromClause, criteria: Sequence[Criterion]) -> list[sa.ColumnElement[bool]]:
    """Return the conditions that an instance has a record and matches."""
    has_record = sa.exists().where(PREDICTIONS.c.instance_id == instances.c.id)
    return [has_record, *(condition for criterion in criteria for condition in _matches(instances, criterion))]


def _matches(instances: sa.FromClause, criterion: Criterion) -> Iterator[sa.ColumnElement[bool]]:
    yield criterion.sql(_value(instances, criterion.keyword))
    if criterion.keyword == "PatientName" and isinstance(criterion, Like):
        beginning = re.split(r"[*?]", criterion.pattern, maxsplit=1)[0]
        if 0 < len(beginning) <= _LONGEST_BEGINNING:  # implied, but of this there is an index
            yield Like("PatientName", f"{beginning}*").sql(name_start(instances))


def _value(instances: sa.FromClause, keyword: str) -> sa.ColumnElement[str]:
    """Return the column of an attribute, or its value in the JSON of all stored attributes."""
    if keyword == "StudyDate":
        return study_day(instances)
    if keyword in _COLUMNS:
        return instances.c[_COLUMNS[keyword]]
    return sa.func.coalesce(instances.c.attributes[keyword].as_string(), "")
