"""Study and time of each order, by which messages of one study are kept in their order."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0005"
branch_labels = None
depends_on = None

_STUDY = """(
    SELECT instances.study_instance_uid FROM predictions JOIN instances ON instances.id = predictions.instance_id
    WHERE predictions.id = outbox.prediction_id
)"""


def upgrade() -> None:
    """Upgrade; the orders that exist were placed when they were created."""
    with op.batch_alter_table("outbox") as table:
        table.add_column(sa.Column("study_instance_uid", sa.Text, nullable=False, server_default=sa.text("''")))
        table.add_column(sa.Column("ordered", sa.DateTime(timezone=True)))
        table.create_index("ix_outbox_destination_study_instance_uid", ["destination", "study_instance_uid"])
    op.execute(sa.text(f"UPDATE outbox SET ordered = created, study_instance_uid = {_STUDY}"))  # noqa: S608
    with op.batch_alter_table("outbox") as table:
        table.alter_column("ordered", existing_type=sa.DateTime(timezone=True), nullable=False)


def downgrade() -> None:
    """Downgrade to the revision before."""
    with op.batch_alter_table("outbox") as table:
        table.drop_index("ix_outbox_destination_study_instance_uid")
        table.drop_column("ordered")
        table.drop_column("study_instance_uid")
