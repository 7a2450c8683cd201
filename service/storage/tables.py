"""The tables. A change here wants a new revision in `migrations/versions`; a test compares the two."""

from datetime import UTC, datetime

import sqlalchemy as sa


class Utc(sa.TypeDecorator[datetime]):
    """An aware datetime, kept in UTC; SQLite keeps no zone."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Refuse a naive datetime, and turn any other to UTC."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """Give the zone back."""
        return value and (value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC))


METADATA = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

SEARCHED = {  # of `attributes`, in columns of their own: column -> keyword
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
    sa.Column("instance_file", sa.Text, nullable=False, unique=True),
    sa.Column("instance_bytes", sa.BigInteger, nullable=False),
    sa.Column("received", Utc, nullable=False),
    sa.Index(None, "study_instance_uid"),
    sa.Index(None, "patient_id"),
)

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

# Beside every prediction, small, so that paging and counting read no maps. `_ORDER` ascending is the worklist's order.
_ORDER = ("rank", "urgency", "created", "prediction_id")
WORKLIST = sa.Table(
    "worklist",
    METADATA,
    sa.Column("prediction_id", sa.ForeignKey(PREDICTIONS.c.id, ondelete="CASCADE"), primary_key=True),
    sa.Column("instance_id", sa.Integer, nullable=False),
    sa.Column("newest", sa.Boolean, nullable=False),  # of its instance's; the others are not on the list
    sa.Column("unread", sa.Boolean, nullable=False),
    sa.Column("rank", sa.SmallInteger, nullable=False),  # of the priority, 0 is STAT
    sa.Column("urgency", sa.Double, nullable=False),  # -margin; beyond all numbers where there is none
    sa.Column("created", Utc, nullable=False),
    sa.Column("positive", sa.Text, nullable=False),  # |label||label|
    sa.Column("searched", sa.Text, nullable=False),  # name, id and accession number, case folded
    sa.Column("read_at", Utc),
    sa.Column("read_by", sa.Text, nullable=False, server_default=sa.text("''")),
    sa.Index(None, "instance_id"),
    sa.Index("ix_worklist_order", "newest", *_ORDER),
    sa.Index("ix_worklist_unread", "newest", "unread", *_ORDER),
)

# What changed, for those who listen; `clock` holds the last tick, and its lock puts commits in the order of the ticks.
CHANGES = sa.Table(
    "changes",
    METADATA,
    sa.Column("tick", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("prediction_id", sa.Text, nullable=False),
    sa.Column("priority", sa.Text),
)
CLOCK = sa.Table("clock", METADATA, sa.Column("tick", sa.BigInteger, nullable=False))

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
    sa.Column("due", Utc, nullable=False),  # of an attempt under way: when it counts as lost
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created", Utc, nullable=False),
    sa.Column("finished", Utc),
    sa.UniqueConstraint("prediction_id", "destination", "object"),
    sa.Index(None, "destination", "state", "due"),
)

OF_INSTANCE = (
    "study_instance_uid",
    "series_instance_uid",
    "sop_instance_uid",
    "accession_number",
    "attributes",
    "display_sha256",
    "instance_file",
    "instance_bytes",
)
_OF_PREDICTION = ("id", "artefact_sha256", "created", "priority", "margin", "body")
_OF_MAPS = ("map_height", "map_width", "heat_map", "class_maps")

SUMMARIES = sa.select(
    *(INSTANCES.c[name] for name in OF_INSTANCE), *(PREDICTIONS.c[name] for name in _OF_PREDICTION)
).select_from(PREDICTIONS.join(INSTANCES))
RECORDS = SUMMARIES.add_columns(*(PREDICTIONS.c[name] for name in _OF_MAPS))
