"""Indices of the entries with positive findings, one for each order of the worklist, and of a day's studies by time.

On a long table of PostgreSQL, build them before, as those of revision 0013.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_POSITIVE = {
    "urgency": ("newest", "unread", "rank", "urgency", "created", "prediction_id", "positive"),
    "received": ("newest", "unread", "created", "prediction_id", "rank", "positive"),
    "patient": ("newest", "unread", "patient_key", "created", "prediction_id", "rank", "positive"),
    "study": ("newest", "unread", "study_key", "created", "prediction_id", "rank", "positive"),
}
_DAY = sa.text("substr(study_date, 1, 16)")


def upgrade() -> None:
    """Upgrade; the versions that worked on revision 0014 work on this schema."""
    where: dict[str, Any] = dict.fromkeys(("sqlite_where", "postgresql_where"), sa.text("positive <> ''"))
    for by, columns in _POSITIVE.items():
        op.create_index(f"ix_worklist_positive_{by}", "worklist", list(columns), if_not_exists=True, **where)
    op.create_index("ix_instances_day", "instances", [_DAY, "received"], if_not_exists=True)
    op.drop_index("ix_instances_study_day", "instances")


def downgrade() -> None:
    """Downgrade to the revision before."""
    op.create_index("ix_instances_study_day", "instances", [_DAY])
    op.drop_index("ix_instances_day", "instances")
    for by in _POSITIVE:
        op.drop_index(f"ix_worklist_positive_{by}", "worklist")
