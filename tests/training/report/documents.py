"""Small documents of an evaluation, from which report and model card are made."""

from collections.abc import Iterator
from typing import Any

from model.labels import LABELS

NAMES = ("auroc", "auprc", "prevalence", "sensitivity_at_specificity_0.95", "brier", "ece_uncalibrated", "ece")
SPLITS = ("test", "test, collection B")


def document() -> dict[str, Any]:
    """Content of `run.json`."""
    return {
        "network": {"backbone": "squeezenet1_1", "canvas_size": 64, "input_size": 32, "tau": 0.7, "pooling": "max"},
        "commit": "0" * 40,
        "config": {"seed": 7, "epochs": [2, 2, 2], "threads": 3, "devices": 2},
        "training_data": [{"name": "tiny train", "images": 24, "patients": 12, "role": "stages global"}],
        "history": [],
    }


def metrics_document() -> dict[str, Any]:
    """Content of `metrics.json`: Hernia is undefined, and every other value identifies its finding."""
    return {
        "data": {split: {"images": 40 - 20 * place, "patients": 30} for place, split in enumerate(SPLITS)},
        "metrics": list(metrics()),
        "differences": [
            {**about("auroc", split), "branch": branch, "against": "global", "label": "macro", **figure}
            for split in SPLITS
            for branch, figure in (
                ("fusion", {"value": -0.012, "interval": [-0.03, 0.01]}),
                ("local", {"value": -0.05, "interval": [-0.08, -0.02]}),
            )
        ]
        + [
            {**about("auroc", "test"), "against": "global", "label": label, "value": gain, "interval": interval}
            for label, gain, interval in (("Mass", 0.02, [-0.1, 0.14]), ("Hernia", None, None))
        ],
        "subgroups": [
            {**about(name, "test"), "by": "sex", "group": "F", "label": "macro", "labels": ["Mass"], **value(0.71)}
            for name in ("auroc", "prevalence")
        ],
        "localisation": [
            {"split": "test", "measure": measure, "at": at, "by": by, "label": "all", "images": 3, "boxes": 4}
            | value(0.25)
            for measure, at in (("iou", 0.1), ("pointing", None))
            for by in ("attention", "random", "centre", *(["class map", "fixed cell"] if at is None else []))
        ],
        "operating_points": [None if label == "Hernia" else point("out-of-fold") for label in LABELS],
        "operating_points_on_test": [{"label": "Mass", **point("test")}],
        "compared": [
            {**about("auroc", "test"), "branch": "CheXNet", "label": "macro", "labels": ["Mass"], **value(0.8)}
        ],
    }


def metrics() -> Iterator[dict[str, Any]]:
    for split in SPLITS:
        for branch in ("fusion", "global", "local"):
            for name in NAMES:
                for place, label in enumerate(LABELS[:-1]):
                    yield {**about(name, split), "branch": branch, "label": label, **value(0.5 + place / 100)}
                nothing = {"value": None, "interval": None, "positives": 0}
                yield {**about(name, split), "branch": branch, "label": "Hernia", **nothing}
                over = list(LABELS[:-1])
                yield {**about(name, split), "branch": branch, "label": "macro", "labels": over, **value(0.654321)}


def about(name: str, split: str) -> dict[str, Any]:
    return {"name": name, "split": split, "images": 40, "branch": "fusion", "positives": 5}


def value(middle: float) -> dict[str, Any]:
    return {"value": middle, "interval": [middle - 0.1, middle + 0.1]}


def point(source: str) -> dict[str, Any]:
    return {
        "threshold": 0.31,
        "sensitivity": 0.4,
        "sensitivity_interval": [0.3, 0.5],
        "specificity": 0.95,
        "specificity_interval": [0.9, 0.98],
        "positives": 10,
        "negatives": 30,
        "source": source,
    }
