"""An index for each order of the worklist, with the texts that entries are sorted by in its table."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_LONGEST = 64
_INSTANCES = sa.table("instances", sa.column("id"), sa.column("study_date", sa.Text), sa.column("attributes", sa.JSON))
_WORKLIST = sa.table(
    "worklist", *map(sa.column, ("instance_id", "patient_key", "study_key")), sa.column("searched", sa.Text)
)
_BEFORE = {
    "ix_worklist_order": ("newest", "rank", "urgency", "created", "prediction_id"),
    "ix_worklist_unread": ("newest", "unread", "rank", "urgency", "created", "prediction_id"),
}
_AFTER = {
    "ix_worklist_urgency": ("newest", "unread", "rank", "urgency", "created", "prediction_id"),
    "ix_worklist_received": ("newest", "unread", "rank", "created", "prediction_id"),
    "ix_worklist_patient": ("newest", "unread", "rank", "patient_key", "created", "prediction_id"),
    "ix_worklist_study": ("newest", "unread", "rank", "study_key", "created", "prediction_id"),
}


def upgrade() -> None:
    """Upgrade."""
    for name in ("patient_key", "study_key"):
        op.add_column("worklist", sa.Column(name, sa.Text, nullable=False, server_default=sa.text("''")))
    studied = _INSTANCES.c.study_date + sa.func.coalesce(_INSTANCES.c.attributes["StudyTime"].as_string(), "")
    of_entry = sa.select(sa.func.substr(studied, 1, _LONGEST)).where(_INSTANCES.c.id == _WORKLIST.c.instance_id)
    op.execute(
        sa.update(_WORKLIST).values(
            patient_key=sa.func.substr(_WORKLIST.c.searched, 1, _LONGEST),
            study_key=sa.func.coalesce(of_entry.scalar_subquery(), ""),
        )
    )
    _replace(_BEFORE, _AFTER)


def downgrade() -> None:
    """Downgrade."""
    _replace(_AFTER, _BEFORE)
    for name in ("study_key", "patient_key"):
        op.drop_column("worklist", name)


def _replace(old: dict[str, tuple[str, ...]], new: dict[str, tuple[str, ...]]) -> None:
    for name in old:
        op.drop_index(name, "worklist")
    for name, columns in new.items():
        op.create_index(name, "worklist", list(columns))
