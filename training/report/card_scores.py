"""The scores that an artefact's card has, selected from those of an evaluation."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from training.evaluation.localisation import localisation
from training.evaluation.predictions import BRANCHES, Predictions, pool
from training.evaluation.scores import Part

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


def card_localisation(tested: Mapping[str, Predictions]) -> dict[str, Any] | None:
    """Return how often the maps' peaks lie in a drawn box of any of these images; None if none has a box.

    Parameters
    ----------
    tested
        Name to predictions of sets of images that were kept apart from training.
    """
    drawn = {name: part for name, part in tested.items() if any(case.boxes for case in part.cases)}
    if not drawn:
        return None
    # Two folders may have images of one name.
    named = [
        replace(part, cases=tuple(replace(case, image=f"{name}/{case.image}") for case in part.cases))
        for name, part in drawn.items()
    ]
    rows = localisation(Part("test", pool(named), ()))
    measured = {row["by"]: row for row in rows if (row["measure"], row["label"]) == ("pointing", "all")}
    shares = {"peak": "attention", "class_map": "class map", "fixed_cell": "fixed cell"}
    return {
        "source": ", ".join(drawn),
        "images": measured["attention"]["images"],
        "boxes": measured["attention"]["boxes"],
        **{name: measured[by]["value"] for name, by in shares.items() if by in measured},
        **{f"{name}_interval": measured[by]["interval"] for name, by in shares.items() if by in measured},
    }
