"""The margin that orders the worklist: over the findings that the triage rule names, no longer over all."""

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_BATCH = 500
_NO_MARGIN = 1e300
_RESOLUTION = 1e-7
_PREDICTIONS = sa.table("predictions", sa.column("id"), sa.column("margin", sa.Double), sa.column("body", sa.JSON))
_WORKLIST = sa.table("worklist", sa.column("prediction_id"), sa.column("urgency", sa.Double))

Body = dict[str, Any]


def upgrade() -> None:
    """Upgrade; the margins of stored records are computed again from their findings.

    One list holds old and new records, so that their margins must mean the same. No record says which rule it was made
    under, so the rule in force now decides, together with the findings that the record itself gives as the reason for
    its priority. They keep the margin of an urgent record at 0 or above, whatever the rule in force. The priority is
    what was answered and stays.
    """
    rule = context.config.attributes["rule"]
    _compute(lambda body: {*rule, *body.get("reason", ())})


def downgrade() -> None:
    """Downgrade; the margins are over all findings again."""
    _compute(lambda _: None)


def _compute(named: Callable[[Body], Collection[str] | None]) -> None:
    """Compute the margin of each record over the findings that `named` returns for its body; None stands for all."""
    connection = op.get_bind()
    chosen = sa.select(_PREDICTIONS.c.id, _PREDICTIONS.c.body).order_by(_PREDICTIONS.c.id).limit(_BATCH)
    of_record = (
        sa.update(_PREDICTIONS).where(_PREDICTIONS.c.id == sa.bindparam("key")).values(margin=sa.bindparam("value"))
    )
    of_entry = (
        sa.update(_WORKLIST)
        .where(_WORKLIST.c.prediction_id == sa.bindparam("key"))
        .values(urgency=sa.bindparam("value"))
    )
    last = ""
    while rows := connection.execute(chosen.where(_PREDICTIONS.c.id > last)).all():
        margins = {row.id: _margin(row.body.get("findings", ()), named(row.body)) for row in rows}
        connection.execute(of_record, [{"key": id, "value": margin} for id, margin in margins.items()])
        urgencies = {id: _NO_MARGIN if margin is None else -margin for id, margin in margins.items()}
        connection.execute(of_entry, [{"key": id, "value": urgency} for id, urgency in urgencies.items()])
        last = rows[-1].id


def _margin(findings: Iterable[Body], named: Collection[str] | None) -> float | None:
    margins = [
        _logit(finding["probability"]) - _logit(finding["threshold"])
        for finding in findings
        if (named is None or finding["label"] in named) and finding["threshold"] is not None
    ]
    return max(margins, default=None)


def _logit(probability: float) -> float:
    clipped = min(max(probability, _RESOLUTION), 1 - _RESOLUTION)
    return math.log(clipped / (1 - clipped))
