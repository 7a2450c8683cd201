"""The outbox: objects to send to other systems."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("destination", sa.Text, nullable=False),
        sa.Column("object", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], name="fk_outbox_prediction_id_predictions", ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "prediction_id", "destination", "object", name="uq_outbox_prediction_id_destination_object"
        ),
    )
    op.create_index("ix_outbox_destination_state_due", "outbox", ["destination", "state", "due"])


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.drop_table("outbox")
