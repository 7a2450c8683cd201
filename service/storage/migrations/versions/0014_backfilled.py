"""Which entries of the worklist a back-fill has added."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade; the versions that worked on revision 0013 work on this schema."""
    op.add_column("worklist", sa.Column("backfilled", sa.Boolean, nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Downgrade."""
    op.drop_column("worklist", "backfilled")
