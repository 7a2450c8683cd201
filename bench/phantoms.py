"""The local branch on phantoms, from the runs of `make phantoms`: `python -m bench.phantoms [--write]`."""

import sys
from pathlib import Path

import numpy as np

from bench.scores import Row, between, cell, pick, table
from training.data.sources import canvases
from training.evaluation import predictions
from training.evaluation.localisation import localisation
from training.evaluation.metrics import CURVE_SCORES
from training.evaluation.predictions import BRANCHES
from training.evaluation.scores import Part, Reading, differences, resampled_scores, score_rows
from training.fit import checkpoint
from training.fit.served_weights import as_served

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
RUNS = ROOT / "runs" / "phantoms"
SMALL = "Nodule"  # half of them have a diameter of 7 to 13 mm


def score(run: Path) -> dict[str, list[Row]]:
    """AUROC, differences and localisation of a finished run on the phantoms' test list, predicted once."""
    predicted = run / "test.npz"
    if not predicted.is_file():
        network, _ = checkpoint.load(run)
        images = canvases(RUNS / "data", "test", network.config.canvas_size, ROOT / "runs" / "cache")
        predictions.save(predicted, predictions.predict(as_served(network), images))
    test = predictions.load(predicted)
    part = Part("test", test, tuple(map(Reading, BRANCHES, test.logits)))
    draws = {
        reading.name: resampled_scores(part, reading, {"auroc": CURVE_SCORES["auroc"]}) for reading in part.readings
    }
    return {
        "metrics": [row for reading in part.readings for row in score_rows(part, reading, draws[reading.name])],
        "differences": list(differences(part, ("fusion", "global"), draws)),
        "localisation": localisation(part),
    }


def scores(name: str, seed: str, metrics: dict[str, list[Row]]) -> list[str]:
    """AUROC of the branches, and paired differences of fusion and global."""
    macro = {
        branch: cell(pick(metrics["metrics"], name="auroc", branch=branch, label="macro"))
        for branch in ("global", "local", "fusion")
    }
    gains = [
        cell(pick(metrics["differences"], branch="fusion", against="global", label=label), signed=True)
        for label in ("macro", SMALL)
    ]
    return [name, seed, *macro.values(), *gains]


def hits(name: str, seed: str, metrics: dict[str, list[Row]]) -> list[str]:
    """Share of findings that box and peak hit, and that random and central boxes and points hit."""
    rows = metrics["localisation"]
    return [
        name,
        seed,
        *(
            cell(pick(rows, measure=measure, at=at, by=by, label="all"))
            for measure, at in (("iou", 0.1), ("iou", 0.3), ("pointing", None))
            for by in ("attention", "random", "centre")
        ),
    ]


def spread(runs: list[dict[str, list[Row]]]) -> str:
    """Mean and range over seeds of fusion minus global."""
    values = [pick(run["differences"], branch="fusion", against="global", label="macro")["value"] for run in runs]
    return f"{np.mean(values):+.3f} ({min(values):+.3f} to {max(values):+.3f})"


def section(runs: list[Path]) -> str:
    """Both tables, and a line for each source of the crop."""
    by_run = {run: score(run) for run in runs}
    named = [
        (run.name.replace("-", ", τ "), run.parent.name.removeprefix("seed-"), metrics)
        for run, metrics in by_run.items()
    ]
    head = ["crop from", "seed"]
    auroc = [*head, "global", "local", "fusion", "fusion − global", f"the same, {SMALL} alone"]
    boxes = [
        f"{what}, {by}" for what in ("IoU > 0.1", "IoU > 0.3", "pointing") for by in ("attention", "random", "centre")
    ]
    lines = [
        f"Crop from the {place}, τ 0.7: fusion − global over seeds, mean and range: "
        f"{spread([metrics for run, metrics in by_run.items() if run.name == f'{place}-0.7'])}."
        for place in ("canvas", "input")
    ]
    return "\n\n".join(
        [
            table([auroc, *(scores(*each) for each in named)]),
            *lines,
            table([[*head, *boxes], *(hits(*each) for each in named)]),
        ]
    )


def main() -> None:
    runs = sorted(
        (path.parent for path in RUNS.glob("seed-*/*-*/run.json")), key=lambda run: (run.name, run.parent.name)
    )
    text = section(runs)
    if "--write" in sys.argv:
        between(PAGE, "phantoms: make phantoms", text)
    print(text)


if __name__ == "__main__":
    main()
