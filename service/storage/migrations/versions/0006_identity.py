"""The version of the rule by which an instance's display values were hashed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade; the instances that exist were hashed by version 1, the only one until now.

    Not in a batch, which would copy the table on SQLite: dropping the old one deletes the predictions with it.
    """
    op.add_column("instances", sa.Column("identity_version", sa.Integer, nullable=False, server_default=sa.text("1")))


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.drop_column("instances", "identity_version")
