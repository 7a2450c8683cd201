"""Measurements that readers make on radiographs."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    op.create_table(
        "measurements",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("prediction_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("points", sa.JSON, nullable=False),
        sa.Column("grid", sa.JSON, nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by", sa.Text, nullable=False, server_default=sa.text("''")),
        sa.PrimaryKeyConstraint("id", name="pk_measurements"),
        sa.ForeignKeyConstraint(
            ["prediction_id"], ["predictions.id"], name="fk_measurements_prediction_id_predictions", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_measurements_prediction_id", "measurements", ["prediction_id"])


def downgrade() -> None:
    """Downgrade to the revision before; the measurements are lost."""
    op.drop_table("measurements")
