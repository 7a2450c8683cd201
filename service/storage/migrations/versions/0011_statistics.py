"""What statistics count: times of opening, findings that made a priority, opinions on findings, refusals."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BATCH = 500
_PREDICTIONS = sa.table("predictions", sa.column("id"), sa.column("body", sa.JSON))
_WORKLIST = sa.table("worklist", sa.column("prediction_id"), sa.column("reason"))


def upgrade() -> None:
    """Upgrade; when the radiographs of before were opened is not known."""
    op.add_column("worklist", sa.Column("reason", sa.Text, nullable=False, server_default=sa.text("''")))
    op.add_column("worklist", sa.Column("opened_at", sa.DateTime(timezone=True)))
    _copy_reasons()
    op.create_table(
        "opinions",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("label", sa.Text, nullable=False),
        sa.Column("positive", sa.Boolean),
        sa.Column("opinion", sa.Text),
        sa.Column("reader", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], "fk_opinions_prediction_id_predictions", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_opinions"),
    )
    op.create_index("ix_opinions_prediction_id", "opinions", ["prediction_id"])
    op.create_table(
        "refusals",
        sa.Column("day", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("day", "code", name="pk_refusals"),
    )


def downgrade() -> None:
    """Downgrade; opinions, refusals and times of opening are lost."""
    op.drop_table("refusals")
    op.drop_table("opinions")
    op.drop_column("worklist", "opened_at")
    op.drop_column("worklist", "reason")


def _copy_reasons() -> None:
    connection = op.get_bind()
    bodies = sa.select(_PREDICTIONS.c.id, _PREDICTIONS.c.body).order_by(_PREDICTIONS.c.id).limit(_BATCH)
    of_entry = sa.update(_WORKLIST).where(_WORKLIST.c.prediction_id == sa.bindparam("key"))
    last = ""
    while rows := connection.execute(bodies.where(_PREDICTIONS.c.id > last)).all():
        reasons = [{"key": row.id, "value": _joined(row.body.get("reason", ()))} for row in rows]
        connection.execute(of_entry.values(reason=sa.bindparam("value")), reasons)
        last = rows[-1].id


def _joined(labels: list[str]) -> str:
    return "".join(f"|{label}|" for label in labels)
