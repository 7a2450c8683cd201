"""What versions may run side by side, and the indices of a search in ten million radiographs.

Each index is built in the transaction of the migration, and nothing is written to the table meanwhile. On PostgreSQL
they can be built before, by the commands of docs/upgrade.md, while the service works.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade; revision 0012 works on this schema."""
    compatibility = op.create_table("compatibility", sa.Column("oldest", sa.Text, nullable=False))
    op.bulk_insert(compatibility, [{"oldest": "0012"}])
    _index("ix_instances_received", ["received"])
    _index("ix_instances_patient", ["patient_id"], postgresql_using="hash")
    _index("ix_instances_accession", ["accession_number"], postgresql_using="hash")
    _index("ix_instances_study_day", [sa.text("substr(study_date, 1, 16)")])
    if op.get_context().dialect.name == "postgresql":
        _index("ix_instances_name", [sa.text("lower(substr(patient_name, 1, 64)) text_pattern_ops")])
    op.drop_index("ix_instances_patient_id", "instances")


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.create_index("ix_instances_patient_id", "instances", ["patient_id"])
    if op.get_context().dialect.name == "postgresql":
        op.drop_index("ix_instances_name", "instances")
    for name in ("study_day", "accession", "patient", "received"):
        op.drop_index(f"ix_instances_{name}", "instances")
    op.drop_table("compatibility")


def _index(name: str, columns: list[str | sa.TextClause], **options: Any) -> None:
    op.create_index(name, "instances", columns, if_not_exists=True, **options)
