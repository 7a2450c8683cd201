"""Comparison of the attention systems, from the runs of `make systems`: `python -m bench.systems RUNS [--write]`."""

import sys
from pathlib import Path

from bench.scores import between, cell, pick, read_metrics, table
from model.branch import Branch
from training.evaluation.assessment import OUT_OF_FOLD

PAGE = Path(__file__).parents[1] / "docs" / "studies.md"
WITHIN = ", collection B"
SPLITS = (OUT_OF_FOLD + WITHIN, "test", "test" + WITHIN)
REFERENCE = "chexnet_predictions"


def row(run: Path) -> list[str]:
    """The row of one system: its size, and the macro AUROC of its branches."""
    metrics = read_metrics(run / "final")["metrics"]
    backbone = run.name
    size = sum(parameter.numel() for parameter in Branch(backbone).parameters()) / 1e6
    macros = [
        cell(pick(metrics, name="auroc", split=split, branch=branch, label="macro"))
        for split, branch in [(SPLITS[0], "global"), (SPLITS[0], "local"), *((split, "fusion") for split in SPLITS)]
    ]
    return [f"`{backbone}`", f"{size:.1f} M", *macros]


def reference(run: Path) -> list[str]:
    """The row of CheXNet's published predictions on the same images."""
    compared = read_metrics(run / "final")["compared"]
    scores = [cell(pick(compared, name="auroc", split=split, branch=REFERENCE, label="macro")) for split in SPLITS[1:]]
    return ["CheXNet, trained on about 78,000 images", "7.0 M", "", "", "", *scores]


def section(folder: Path) -> str:
    """The table of all systems."""
    runs = sorted(path.parent.parent for path in folder.glob("*/final/metrics.json"))
    head = ["backbone", "parameters of a branch", "global, out of fold, B", "local, out of fold, B"]
    head += ["fusion, out of fold, B", "fusion, test", "fusion, test, B"]
    return table([head, *(row(run) for run in runs), reference(runs[0])])


def main() -> None:
    text = section(Path(sys.argv[1]))
    if "--write" in sys.argv:
        between(PAGE, "systems: make systems", text)
    print(text)


if __name__ == "__main__":
    main()
