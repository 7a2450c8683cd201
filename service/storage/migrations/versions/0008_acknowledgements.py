"""Acknowledgements of results, and the orders that are repeated until then."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade; a result that was marked as read counts as acknowledged by its reader."""
    op.add_column("worklist", sa.Column("acknowledged_at", sa.DateTime(timezone=True)))
    op.add_column("worklist", sa.Column("acknowledged_by", sa.Text, nullable=False, server_default=sa.text("''")))
    op.execute("UPDATE worklist SET acknowledged_at = read_at, acknowledged_by = read_by WHERE read_at IS NOT NULL")
    op.add_column("outbox", sa.Column("alert", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("outbox", sa.Column("received", sa.Integer, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    """Downgrade; the acknowledgements are lost."""
    for table, column in (
        ("outbox", "received"),
        ("outbox", "alert"),
        ("worklist", "acknowledged_by"),
        ("worklist", "acknowledged_at"),
    ):
        op.drop_column(table, column)
