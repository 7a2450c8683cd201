"""How the artefact that ships was trained, from the runs of `make artefact`: `python -m bench.artefact [--write]`.

Scores are of the validation lists, without the mirror image that the artefact also looks at.
"""

import json
import sys
from pathlib import Path

from bench.scores import between, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
RUNS = ROOT / "runs" / "shipped"
HEAD = ["epoch", "input", "learning rate at its end", "loss", "macro AUROC, validation", "images per second"]


def rows(run: Path) -> list[list[str]]:
    """One row for each epoch of a run."""
    document = json.loads((run / "run.json").read_text(encoding="utf-8"))
    size = document["network"]["input_size"]
    return [
        [
            *(f"{epoch['epoch'] + 1}", f"{size}", f"{epoch['learning_rate']:.1e}", f"{epoch['loss']:.4f}"),
            *(f"{epoch['auroc']:.3f}", f"{epoch['images_per_second']:.0f}"),
        ]
        for epoch in document["history"]
    ]


def main() -> None:
    """Print the table, and write it to the page if asked to."""
    text = table([HEAD, *rows(RUNS / "first"), *rows(RUNS / "final")])
    if "--write" in sys.argv:
        between(PAGE, "artefact: make artefact", text)
    print(text)


if __name__ == "__main__":
    main()
