"""Attributes of patient, study and series, for the worklist and for queries."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEARCHED = ("patient_name", "patient_id", "study_date", "modality")


def upgrade() -> None:
    """Upgrade; the instances that exist get no attributes.

    Not in a batch, which would copy the table on SQLite: dropping the old one deletes the predictions with it.
    """
    op.add_column("instances", sa.Column("attributes", sa.JSON, nullable=False, server_default=sa.text("'{}'")))
    for name in _SEARCHED:
        op.add_column("instances", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    op.create_index("ix_instances_study_instance_uid", "instances", ["study_instance_uid"])
    op.create_index("ix_instances_patient_id", "instances", ["patient_id"])


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.drop_index("ix_instances_patient_id", "instances")
    op.drop_index("ix_instances_study_instance_uid", "instances")
    for name in ("attributes", *_SEARCHED):
        op.drop_column("instances", name)
