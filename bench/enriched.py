"""The artefact that ships on images enriched for findings, for docs/studies.md: `python -m bench.enriched [--write]`.

Runs the file as the service does on the test list of nih-subset, and sets the AUROC of every finding beside that of a
published DenseNet-121 (CheXNet, trained on about 78,000 images) on the same images. Seconds on two cores.
"""

import sys
from collections.abc import Iterator

import numpy as np

from bench.prevalence import DATA, ROOT, part, probabilities
from bench.scores import between, cell, table
from service.artefact.file import load
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from training.data.sources import read
from training.evaluation.bootstrap import Resamples, entry, resamples
from training.evaluation.comparison import read_table
from training.evaluation.metrics import Numbers, auroc, curve, macro, ranking
from training.evaluation.predictions import Predictions

MARK = "enriched: python -m bench.enriched --write"
FOLDER, COLLECTION = "nih-subset", "B"
LEAST = 5  # positives of a finding in the macro average


def aurocs(truth: Numbers, scores: Numbers, patients: Resamples) -> Numbers:
    """AUROC of every finding on every resample of the patients: `[1 + R, K]`, of labels and scores `[N, K]`."""
    ranked = [ranking(column, positive) for column, positive in zip(scores.T, truth.T == 1, strict=True)]
    return patients.evaluate(lambda weights: np.stack([auroc(curve(each, weights)) for each in ranked], 1))


def columns(images: Predictions, scores: dict[str, Numbers]) -> dict[str, list[str]]:
    """Number of positives, and the AUROC by each model, for every finding and the macro average."""
    patients, chosen = resamples(images.patients), images.targets.sum(0) >= LEAST
    counts = [str(int(count)) for count in images.targets.sum(0)]
    result = {f"positive of {len(images)}": [*counts, f"{chosen.sum()} findings"]}
    for name, values in scores.items():
        samples = aurocs(images.targets, values, patients)
        cells = [cell(entry(column)) for column in samples.T]
        result[f"AUROC, {name}"] = [*cells, f"**{cell(entry(macro(samples[:, chosen])))}**"]
    return result


def sections() -> Iterator[str]:
    """A sentence and a table for the whole test list, and for the collection whose findings are enriched."""
    artefact = load(SHIPPED_ARTEFACT)
    radiographs = read(DATA / FOLDER, "test", artefact.card.preprocessing.canvas_size)
    whole = part(radiographs, probabilities(Session(artefact), radiographs)).predictions
    chexnet = read_table(DATA / FOLDER / "chexnet_predictions.csv", whole.cases, whole.labels).scores
    within = np.array([case.collection == COLLECTION for case in whole.cases])
    for name, chosen in ((f"{FOLDER} test, collection {COLLECTION}", within), (f"{FOLDER} test", within | True)):
        images = whole.subset(np.flatnonzero(chosen))
        scores = {artefact.card.name: images.logits[0].astype(np.float64), "CheXNet": chexnet[chosen]}
        listed = columns(images, scores)
        rows = [[label, *row] for label, *row in zip([*whole.labels, "**macro**"], *listed.values(), strict=True)]
        yield f"{name}: {len(images)} images of {len(set(images.patients))} patients."
        yield table([["finding", *listed], *rows])


def main() -> None:
    """Print the section, and write it to the page if asked to."""
    text = "\n\n".join(sections())
    if "--write" in sys.argv:
        between(ROOT / "docs" / "studies.md", MARK, text)
    print(text)


if __name__ == "__main__":
    main()
