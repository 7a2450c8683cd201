"""The tables. A change here requires a new revision in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa


class Utc(sa.TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; SQLite stores no time zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Convert an aware datetime to UTC; a naive one is an error."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("expected an aware datetime, got a naive one")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Return an aware datetime in UTC."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

SEARCHED = {  # attributes that have their own column: column -> keyword
    "patient_name": "PatientName",
    "patient_id": "PatientID",
    "study_date": "StudyDate",
    "modality": "Modality",
}

INSTANCES = sa.Table(
    "instances",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("study_instance_uid", sa.Text, nullable=False),
    sa.Column("series_instance_uid", sa.Text, nullable=False),
    sa.Column("sop_instance_uid", sa.Text, nullable=False, unique=True),
    sa.Column("accession_number", sa.Text, nullable=False),
    sa.Column("attributes", sa.JSON, nullable=False, server_default=sa.text("'{}'")),
    *(sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")) for name in SEARCHED),
    sa.Column("display_sha256", sa.Text, nullable=False),
    sa.Column("identity_version", sa.Integer, nullable=False, server_default=sa.text("1")),
    sa.Column("instance_file", sa.Text, nullable=False, unique=True),
    sa.Column("instance_bytes", sa.BigInteger, nullable=False),
    sa.Column("received", Utc, nullable=False),
    sa.Index(None, "study_instance_uid"),
    sa.Index(None, "received"),
    # PostgreSQL's trees take no value of more than 2,704 bytes, and a file may have a longer one
    sa.Index("ix_instances_patient", "patient_id", postgresql_using="hash"),
    sa.Index("ix_instances_accession", "accession_number", postgresql_using="hash"),
)


def study_day(instances: sa.FromClause) -> sa.ColumnElement[str]:
    """Return the date of the study, cut for its index; every date is shorter."""
    return sa.func.substr(instances.c.study_date, sa.literal_column("1"), sa.literal_column("16"))


def name_start(instances: sa.FromClause) -> sa.ColumnElement[str]:
    """Return the beginning of the patient's name, likewise."""
    return sa.func.substr(instances.c.patient_name, sa.literal_column("1"), sa.literal_column("64"))


sa.Index("ix_instances_day", study_day(INSTANCES), INSTANCES.c.received)
# SQLite's `lower` is the service's own: other programs could not write to a file with such an index
_NAME = sa.func.lower(name_start(INSTANCES)).label("name")
sa.Index("ix_instances_name", _NAME, postgresql_ops={"name": "text_pattern_ops"}).ddl_if(dialect="postgresql")

PREDICTIONS = sa.Table(
    "predictions",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("instance_id", sa.ForeignKey(INSTANCES.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("artefact_sha256", sa.Text, nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("priority", sa.Text, nullable=False),
    sa.Column("margin", sa.Double),
    sa.Column("body", sa.JSON, nullable=False),
    sa.Column("map_height", sa.Integer, nullable=False),
    sa.Column("map_width", sa.Integer, nullable=False),
    sa.Column("heat_map", sa.LargeBinary, nullable=False),  # [h, w] float32, little-endian
    sa.Column("class_maps", sa.LargeBinary, nullable=False),  # [K, h, w] float32, little-endian
    sa.UniqueConstraint("instance_id", "artefact_sha256"),
    sa.Index(None, "created", "id"),
)

# One small row per prediction, so that paging and counting read no maps. Each order of the worklist has two indices: in
# one, the entries of one priority, read or unread, lie together; the other has those with positive findings, and all
# that a filter by finding compares.
_LISTED, _LAST = ("newest", "unread"), ("created", "prediction_id")
_POSITIVE: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text("positive <> ''"))
WORKLIST = sa.Table(
    "worklist",
    METADATA,
    sa.Column("prediction_id", sa.ForeignKey(PREDICTIONS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("instance_id", sa.Integer, nullable=False),
    sa.Column("newest", sa.Boolean, nullable=False),  # the newest record of its instance; only these are on the list
    sa.Column("unread", sa.Boolean, nullable=False),
    sa.Column("rank", sa.SmallInteger, nullable=False),  # index of the priority: 0 STAT, 1 HIGH, 2 ROUTINE
    sa.Column("urgency", sa.Double, nullable=False),  # -margin; 1e300 where there is none
    sa.Column("created", Utc, nullable=False),
    sa.Column("positive", sa.Text, nullable=False),  # labels of the positive findings: |label||label|
    sa.Column(
        "reason", sa.Text, nullable=False, server_default=sa.text("''")
    ),  # those that made the priority, likewise
    sa.Column("searched", sa.Text, nullable=False),  # patient name, patient id and accession number, case folded
    # What entries are sorted by: the beginning of `searched`, and date and time of the study
    sa.Column("patient_key", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("study_key", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("opened_at", Utc),  # first time in the viewer
    sa.Column("read_at", Utc),
    sa.Column("read_by", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("acknowledged_at", Utc),
    sa.Column("acknowledged_by", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("backfilled", sa.Boolean, nullable=False, server_default=sa.false()),  # and has not arrived since
    sa.Index(None, "instance_id"),
    sa.Index("ix_worklist_urgency", *_LISTED, "rank", "urgency", *_LAST),
    sa.Index("ix_worklist_received", *_LISTED, "rank", *_LAST),
    sa.Index("ix_worklist_patient", *_LISTED, "rank", "patient_key", *_LAST),
    sa.Index("ix_worklist_study", *_LISTED, "rank", "study_key", *_LAST),
    sa.Index("ix_worklist_positive_urgency", *_LISTED, "rank", "urgency", *_LAST, "positive", **_POSITIVE),
    sa.Index("ix_worklist_positive_received", *_LISTED, *_LAST, "rank", "positive", **_POSITIVE),
    sa.Index("ix_worklist_positive_patient", *_LISTED, "patient_key", *_LAST, "rank", "positive", **_POSITIVE),
    sa.Index("ix_worklist_positive_study", *_LISTED, "study_key", *_LAST, "rank", "positive", **_POSITIVE),
)

# What readers think of findings. Rows are added only: the last one of a reader and finding counts.
OPINIONS = sa.Table(
    "opinions",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("prediction_id", sa.ForeignKey(PREDICTIONS.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("positive", sa.Boolean),  # the finding itself
    sa.Column("opinion", sa.Text),  # agree, disagree; null: withdrawn
    sa.Column("reader", sa.Text, nullable=False),
    sa.Column("at", Utc, nullable=False),
    sa.Index(None, "prediction_id"),
)

# Refused radiographs, by day in UTC (2026-11-28) and code; nothing of the radiographs themselves.
REFUSALS = sa.Table(
    "refusals",
    METADATA,
    sa.Column("day", sa.Text, primary_key=True),
    sa.Column("code", sa.Text, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
)

# The last changes, for the event streams. `clock` holds the last tick; its row lock commits changes in their order.
CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("tick", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("prediction_id", sa.Text, nullable=False),
    sa.Column("priority", sa.Text),
)
CLOCK = sa.Table("clock", METADATA, sa.Column("tick", sa.BigInteger, nullable=False))

# One row: the oldest revision whose version of the service works on this schema (docs/upgrade.md)
COMPATIBILITY = sa.Table("compatibility", METADATA, sa.Column("oldest", sa.Text, nullable=False))

# One row: the random id of this database, which its instance store names, and the time of the store's last sweep
STORE = sa.Table("store", METADATA, sa.Column("id", sa.Text, nullable=False), sa.Column("swept", Utc))

KEYS = sa.Table(
    "keys",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False, unique=True),  # SHA-256 of the key, hex
    sa.Column("scopes", sa.JSON, nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("revoked", Utc),
)

OUTBOX = sa.Table(
    "outbox",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("prediction_id", sa.ForeignKey(PREDICTIONS.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due", Utc, nullable=False),  # earliest time of the next attempt; during an attempt, end of its lease
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("finished", Utc),
    sa.Column("alert", sa.Boolean, nullable=False, server_default=sa.false()),  # ends when it is acknowledged
    sa.Column("received", sa.Integer, nullable=False, server_default=sa.text("0")),  # times that it has arrived
    sa.Column("study_instance_uid", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Column("ordered", Utc, nullable=False),  # `created`, or the last time that a finished order was placed anew
    sa.UniqueConstraint("prediction_id", "destination", "object"),
    sa.Index(None, "destination", "state", "due"),
    sa.Index(None, "destination", "study_instance_uid"),
)

# What readers measured on the radiograph of a record. A deleted measurement stays, but is no longer shown.
MEASUREMENTS = sa.Table(
    "measurements",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("prediction_id", sa.ForeignKey(PREDICTIONS.c.id, ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("points", sa.JSON, nullable=False),  # [[column, row], ...] in pixels of the stored image
    sa.Column("grid", sa.JSON, nullable=False),  # pixel grid of the stored image, from its header
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("made_by", sa.Text, nullable=False),
    sa.Column("deleted_at", Utc),
    sa.Column("deleted_by", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Index(None, "prediction_id"),
)
