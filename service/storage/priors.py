"""Priors: the radiographs in earlier studies of a patient."""

import re

import sqlalchemy as sa

from service.storage.other_studies import issuer
from service.storage.record import Summary
from service.storage.tables import INSTANCES
from service.storage.worklist import Entry, Worklist

MOST = 50
_DATE = re.compile("[0-9]{8}")  # PS3.5 6.2 DA
_TIME = sa.func.coalesce(INSTANCES.c.attributes["StudyTime"].as_string(), "")
_LATEST_FIRST = (INSTANCES.c.study_date.desc(), _TIME.desc(), INSTANCES.c.id.desc())


def priors(worklist: Worklist, id: str) -> tuple[Entry, ...]:
    """Return the newest record of each radiograph in an earlier study of a record's patient, the latest first.

    A patient with more than `MOST` has the others left out. Blocking.

    Raises
    ------
    NotFound
    """
    return worklist.matching(_in_earlier_study(worklist.get(id).record), MOST, *_LATEST_FIRST)


def _in_earlier_study(record: Summary) -> sa.ColumnElement[bool]:
    """Return the condition that an instance is in an earlier study of a record's patient; false where nothing says so.

    Without a date in both, or on the same day without a time in both, neither is known to be the earlier one.
    """
    keywords = ("PatientID", "IssuerOfPatientID", "StudyDate", "StudyTime")
    patient, authority, date, time = (record.attributes.get(keyword, "") for keyword in keywords)
    if not patient or not _DATE.fullmatch(date):
        return sa.false()
    same_day = sa.and_(INSTANCES.c.study_date == date, _TIME != "", time > _TIME)
    return sa.and_(
        INSTANCES.c.patient_id == patient,
        issuer(INSTANCES) == authority,
        INSTANCES.c.study_instance_uid != record.study_instance_uid,
        sa.func.length(INSTANCES.c.study_date) == len("YYYYMMDD"),
        sa.or_(INSTANCES.c.study_date < date, same_day),
    )
