"""Attributes of patient, study and series, for the worklist and for queries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEARCHED = ("patient_name", "patient_id", "study_date", "modality")


def upgrade() -> None:
    """Upgrade; the instances that exist get no attributes."""
    with op.batch_alter_table("instances") as table:
        table.add_column(sa.Column("attributes", sa.JSON, nullable=False, server_default=sa.text("'{}'")))
        for name in _SEARCHED:
            table.add_column(sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
        table.create_index("ix_instances_study_instance_uid", ["study_instance_uid"])
        table.create_index("ix_instances_patient_id", ["patient_id"])


def downgrade() -> None:
    """Downgrade to the revision before."""
    with op.batch_alter_table("instances") as table:
        table.drop_index("ix_instances_patient_id")
        table.drop_index("ix_instances_study_instance_uid")
        for name in ("attributes", *_SEARCHED):
            table.drop_column(name)
