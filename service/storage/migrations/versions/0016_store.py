"""The id of the database, which its instance store names as its owner, and the time of the store's last sweep."""

from secrets import token_hex

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Upgrade; the versions before work on this schema."""
    time = sa.DateTime(timezone=True)
    store = op.create_table("store", sa.Column("id", sa.Text, nullable=False), sa.Column("swept", time))
    op.bulk_insert(store, [{"id": token_hex(16)}])


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.drop_table("store")
