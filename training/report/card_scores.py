"""The scores that an artefact's card has, selected from those of an evaluation."""

from collections.abc import Iterable
from typing import Any

from training.evaluation.predictions import BRANCHES

CARD_SCORES = {  # name to branches
    "auroc": BRANCHES,
    "auprc": BRANCHES,
    "brier": BRANCHES[:1],
    "calibration_slope": BRANCHES[:1],
    "calibration_intercept": BRANCHES[:1],
    "calibration_error": BRANCHES[:1],
    "ece": BRANCHES[:1],
}
CARD_FIELDS = ("name", "split", "images", "branch", "label", "value", "interval", "positives")


def card_metrics(rows: Iterable[dict[str, Any]], second_look: bool = True) -> list[dict[str, Any]]:
    """Select the scores for the artefact's card, AUROC first; without a second look there are none of `local`."""
    rows = list(rows)
    return [
        {field: row[field] for field in CARD_FIELDS}
        for name, branches in CARD_SCORES.items()
        for row in rows
        if row["name"] == name and row["branch"] in branches and (second_look or row["branch"] != "local")
    ]
