"""Variations of the default recipe, from the runs of `make recipe`: `python -m bench.recipe [--write]`.

Every run trains the global branch for the same few epochs with one setting changed; scores are of the validation list.
"""

import json
import sys
from pathlib import Path

from bench.scores import between, table

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "studies.md"
RUNS = ROOT / "runs" / "recipe"


def row(run: Path) -> list[str]:
    """The changed setting, and the macro AUROC after each epoch."""
    history = json.loads((run / "run.json").read_text(encoding="utf-8"))["history"]
    return [run.name.replace("-", " "), *(f"{epoch['auroc']:.3f}" for epoch in history)]


def main() -> None:
    rows = [row(path.parent) for path in sorted(RUNS.glob("*/run.json"))]
    text = table([["changed", *(f"epoch {number + 1}" for number in range(len(rows[0]) - 1))], *rows])
    if "--write" in sys.argv:
        between(PAGE, "recipe: make recipe", text)
    print(text)


if __name__ == "__main__":
    main()
