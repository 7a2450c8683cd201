"""The worklist, with one small row per prediction for order, filters and read mark; and the changes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BATCH = 500
_RANKS = {"STAT": 0, "HIGH": 1}
_NO_MARGIN = 1e300


def upgrade() -> None:
    """Upgrade; the predictions that exist get a row each, marked as unread."""
    op.create_table(
        "worklist",
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("instance_id", sa.Integer, nullable=False),
        sa.Column("newest", sa.Boolean, nullable=False),
        sa.Column("unread", sa.Boolean, nullable=False),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("urgency", sa.Double, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("positive", sa.Text, nullable=False),
        sa.Column("searched", sa.Text, nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("read_by", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("prediction_id", name="pk_worklist"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], name="fk_worklist_prediction_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_worklist_instance_id", "worklist", ["instance_id"])
    order = ["rank", "urgency", "created", "prediction_id"]
    op.create_index("ix_worklist_order", "worklist", ["newest", *order])
    op.create_index("ix_worklist_unread", "worklist", ["newest", "unread", *order])
    op.create_table(
        "changes",
        sa.Column("tick", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("priority", sa.Text),
        sa.PrimaryKeyConstraint("tick", name="pk_changes"),
    )
    clock = op.create_table("clock", sa.Column("tick", sa.BigInteger, nullable=False))
    op.bulk_insert(clock, [{"tick": 0}])
    _fill(op.get_bind())


def downgrade() -> None:
    """Downgrade; the read marks are lost."""
    for table in ("clock", "changes", "worklist"):
        op.drop_table(table)


def _fill(connection: sa.Connection) -> None:
    utc = sa.DateTime(timezone=True)
    predictions = sa.table(
        "predictions",
        *(sa.column(name) for name in ("id", "instance_id", "priority", "margin")),
        sa.column("created", utc),
        sa.column("body", sa.JSON),
    )
    searched = ("patient_name", "patient_id", "accession_number")
    instances = sa.table("instances", *(sa.column(name) for name in ("id", *searched)))
    worklist = sa.table(
        "worklist",
        *(sa.column(name) for name in ("prediction_id", "instance_id", "newest", "unread", "rank", "urgency")),
        sa.column("created", utc),
        *(sa.column(name) for name in ("positive", "searched")),
    )
    later = predictions.alias()
    key = (later.c.created > predictions.c.created) | (
        (later.c.created == predictions.c.created) & (later.c.id > predictions.c.id)
    )
    chosen = (
        sa.select(
            *predictions.c,
            *(instances.c[name] for name in searched),
            (~sa.exists().where(later.c.instance_id == predictions.c.instance_id, key)).label("newest"),
        )
        .join(instances, instances.c.id == predictions.c.instance_id)
        .order_by(predictions.c.id)
        .limit(_BATCH)
    )
    last = ""
    while rows := connection.execute(chosen.where(predictions.c.id > last)).mappings().all():
        connection.execute(sa.insert(worklist), [_row(row) for row in rows])
        last = rows[-1]["id"]


def _row(row: sa.RowMapping) -> dict[str, object]:
    labels = [finding["label"] for finding in row["body"].get("findings", []) if finding.get("positive")]
    searched = "\n".join((row["patient_name"], row["patient_id"], row["accession_number"])).casefold()
    return {
        "prediction_id": row["id"],
        "instance_id": row["instance_id"],
        "newest": bool(row["newest"]),
        "unread": True,
        "rank": _RANKS.get(row["priority"], 2),
        "urgency": _NO_MARGIN if row["margin"] is None else -row["margin"],
        "created": row["created"],
        "positive": "".join(f"|{label}|" for label in labels),
        "searched": searched,
    }
