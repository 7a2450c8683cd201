"""The number of a patient's other studies."""

import sqlalchemy as sa

from service.storage.tables import INSTANCES, PREDICTIONS


def issuer(instances: sa.FromClause) -> sa.ColumnElement[str]:
    """Return the issuer of the patient ID, empty where there is none."""
    return sa.func.coalesce(instances.c.attributes["IssuerOfPatientID"].as_string(), "")


_OTHER, _RECORDS = INSTANCES.alias("other"), PREDICTIONS.alias("other_records")
# To be selected from INSTANCES. A patient is known by ID and issuer: names are spelt in several ways. Without an ID
# nothing is known to be of the same patient.
OTHER_STUDIES: sa.ColumnElement[int] = (
    sa.select(sa.func.count(_OTHER.c.study_instance_uid.distinct()))
    .where(INSTANCES.c.patient_id != "", _OTHER.c.patient_id == INSTANCES.c.patient_id)
    .where(issuer(_OTHER) == issuer(INSTANCES), _OTHER.c.study_instance_uid != INSTANCES.c.study_instance_uid)
    .where(sa.exists().where(_RECORDS.c.instance_id == _OTHER.c.id))
    .correlate(INSTANCES)
    .scalar_subquery()
    .label("other_studies")
)
