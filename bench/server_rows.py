"""Rows of `bench.worklist` for PostgreSQL, which makes them itself: ten million in minutes."""

import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from model.labels import LABELS

BATCH = 1_000_000
TABLES = ["instances", "predictions", "worklist"]
Values = dict[str, Any]

_STUDIES = """
SELECT n, 'Patient' || n % 7919 || '^Given' || n % 613 AS name, 'P' || lpad((n / 2)::text, 7, '0') AS patient,
    'A' || lpad(n::text, 8, '0') AS accession, moment,
    to_char(moment AT TIME ZONE 'UTC', 'YYYYMMDD') AS day, to_char(moment AT TIME ZONE 'UTC', 'HH24MISS') AS clock
FROM (
    SELECT n, CAST(:start AS timestamptz) + n * interval '40 seconds' AS moment
    FROM generate_series(CAST(:first AS integer), :last) AS n
) AS times
"""
_INSTANCES = f"""
INSERT INTO instances (id, study_instance_uid, series_instance_uid, sop_instance_uid, accession_number, attributes,
    patient_name, patient_id, study_date, modality, display_sha256, identity_version, instance_file, instance_bytes,
    received)
SELECT n + 1, '2.25.' || n, '2.25.' || n || '.1', '2.25.' || n || '.1.1', accession,
    json_build_object('PatientName', name, 'PatientID', patient, 'Modality', 'DX', 'PatientSex', 'F',
        'StudyDate', day, 'StudyTime', clock),
    name, patient, day, 'DX', repeat('d', 64), 1, lpad(to_hex(n), 32, '0') || '.dcm', 1234, moment
FROM ({_STUDIES}) AS studies
"""
_WORKLIST = f"""
INSERT INTO worklist (prediction_id, instance_id, newest, unread, rank, urgency, created, positive, reason, searched,
    patient_key, study_key)
SELECT md5(n::text), n + 1, true, unread, CASE WHEN stat THEN 0 WHEN label <> '' THEN 1 ELSE 2 END, urgency, moment,
    label, label, searched, left(searched, 64), day || clock
FROM (
    SELECT *, lower(name || E'\\n' || patient || E'\\n' || accession) AS searched,
        random() < :urgent AS stat, random() >= :read AS unread,
        2 * sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()) AS urgency,
        CASE WHEN random() < :positive THEN '|' || (CAST(:labels AS text[]))[1 + n % :findings] || '|' ELSE '' END
            AS label
    FROM ({_STUDIES}) AS studies
) AS drawn
"""
_PREDICTIONS = """
INSERT INTO predictions (id, instance_id, artefact_sha256, created, priority, margin, body, map_height, map_width,
    heat_map, class_maps)
SELECT prediction_id, instance_id, repeat('a', 64), created, (ARRAY['STAT', 'HIGH', 'ROUTINE'])[rank + 1], -urgency,
    body, map_height, map_width, heat_map, ''
FROM worklist JOIN template USING (positive) WHERE instance_id BETWEEN :first + 1 AND :last + 1
"""
_TEMPLATE = """
CREATE TEMPORARY TABLE template (positive text, body json, map_height integer, map_width integer, heat_map bytea)
"""
_INTO_TEMPLATE = "INSERT INTO template VALUES (:positive, :body, :map_height, :map_width, :heat_map)"
_KEYS = """
SELECT conrelid::regclass::text AS relation, conname AS name, pg_get_constraintdef(oid) AS definition
FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text = ANY(:tables)
"""
_INDICES = """
SELECT indexname AS name, indexdef AS definition FROM pg_indexes
WHERE tablename = ANY(:tables) AND indexname LIKE 'ix%' ORDER BY tablename, indexname
"""


# For searches of a text, as in docs/deploy.md: no migration makes them, as not every operator permits extensions
TRIGRAMS = {
    "ix_worklist_searched": "worklist USING gin (searched gin_trgm_ops)",
    "ix_instances_name_anywhere": "instances USING gin (lower(patient_name) gin_trgm_ops)",
}


def index_texts(url: str) -> None:
    """Build the indices of texts by three characters, and print how long each takes."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        for name, definition in TRIGRAMS.items():
            _build(connection, name, f"CREATE INDEX {name} ON {definition}")
        connection.exec_driver_sql("VACUUM ANALYZE worklist, instances")


def _build(connection: sa.Connection, name: str, statement: str) -> None:
    start = time.perf_counter()
    connection.exec_driver_sql(statement)
    print(f"index {name:38}{time.perf_counter() - start:9.1f} s", flush=True)


def fill(url: str, count: int, values: Values, templates: Sequence[Values]) -> None:
    """Fill the tables without their indices and foreign keys; then build those, and print how long each takes.

    The maps of single findings are left out: no list reads them, and those of ten million records take 40 GB.

    Parameters
    ----------
    values
        `start`: time of the first record. `urgent`, `positive`, `read`: shares of the records.
    templates
        Columns of a prediction, with `positive`: its label between two `|`, or empty.
    """
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        keys = connection.execute(sa.text(_KEYS), {"tables": TABLES}).all()
        indices = connection.execute(sa.text(_INDICES), {"tables": TABLES}).all()
        for key in keys:
            connection.exec_driver_sql(f"ALTER TABLE {key.relation} DROP CONSTRAINT {key.name}")
        for index in indices:
            connection.exec_driver_sql(f"DROP INDEX {index.name}")
        connection.execute(sa.text(_TEMPLATE))
        connection.execute(sa.text(_INTO_TEMPLATE).bindparams(sa.bindparam("body", type_=sa.JSON)), templates)
        values = values | {"labels": list(LABELS), "findings": len(LABELS)}
        for first in range(0, count, BATCH):
            numbers = {"first": first, "last": min(first + BATCH, count) - 1}
            for statement in (_INSTANCES, _WORKLIST, _PREDICTIONS):
                connection.execute(sa.text(statement), values | numbers)
        connection.exec_driver_sql(f"SELECT setval('instances_id_seq', {count})")
        for key in keys:
            connection.exec_driver_sql(f"ALTER TABLE {key.relation} ADD CONSTRAINT {key.name} {key.definition}")
        for index in indices:
            _build(connection, index.name, index.definition)
        connection.exec_driver_sql("VACUUM ANALYZE")
