"""Instances and predictions."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade to this revision."""
    op.create_table(
        "instances",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("study_instance_uid", sa.Text, nullable=False),
        sa.Column("series_instance_uid", sa.Text, nullable=False),
        sa.Column("sop_instance_uid", sa.Text, nullable=False),
        sa.Column("accession_number", sa.Text, nullable=False),
        sa.Column("display_sha256", sa.Text, nullable=False),
        sa.Column("instance_file", sa.Text, nullable=False),
        sa.Column("instance_bytes", sa.BigInteger, nullable=False),
        sa.Column("received", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        sa.UniqueConstraint("sop_instance_uid", name="uq_instances_sop_instance_uid"),
        sa.UniqueConstraint("instance_file", name="uq_instances_instance_file"),
    )
    op.create_table(
        "predictions",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("instance_id", sa.Integer, nullable=False),
        sa.Column("artefact_sha256", sa.Text, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("priority", sa.Text, nullable=False),
        sa.Column("margin", sa.Double),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("map_height", sa.Integer, nullable=False),
        sa.Column("map_width", sa.Integer, nullable=False),
        sa.Column("heat_map", sa.LargeBinary, nullable=False),
        sa.Column("class_maps", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_predictions"),
        sa.ForeignKeyConstraint(
            ["instance_id"], ["instances.id"], name="fk_predictions_instance_id", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("instance_id", "artefact_sha256", name="uq_predictions_instance_id_artefact_sha256"),
    )
    op.create_index("ix_predictions_created_id", "predictions", ["created", "id"])


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.drop_table("predictions")
    op.drop_table("instances")
