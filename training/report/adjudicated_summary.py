"""Lines on adjudicated labels in the summary that `agcnn evaluate` prints."""

from collections.abc import Iterator
from typing import Any

from training.evaluation.scores import Row


def adjudicated_lines(metrics: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each finding: AUROC against both kinds of labels, and the agreement of the two.

    Parameters
    ----------
    metrics
        Content of `metrics.json`.
    """
    document = metrics.get("adjudicated", {"agreement": ()})
    for row in document["agreement"]:
        both = [score for score in document["scores"] if score["finding"] == row["finding"]]
        where = f"{document['split']}, {row['images']} adjudicated images, {row['finding']}"
        yield f"{where}: AUROC {', '.join(map(against, both))}; κ {number(row['kappa'], '.2f')}"


def against(score: Row) -> str:
    """Format an AUROC as `0.801 against adjudicated labels (23 positive)`."""
    return f"{number(score['auroc'], '.3f')} against {score['against']} labels ({score['positives']} positive)"


def number(figure: Row, form: str) -> str:
    """Format a value; n/a if undefined."""
    return "n/a" if figure["value"] is None else f"{figure['value']:{form}}"
