"""What the artefact that ships does at natural prevalence, for the README: `python -m bench.prevalence [--write]`.

Runs the file as the service does on the test list of nih-128 (consecutive patients), and applies its own operating
points and the default rule. Images and labels that radiologists adjudicated are read from AGCNN_REALDATA,
../shared/data by default. Minutes on two cores.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.special import logit

from bench.adjudicated_columns import KEPT, realigned
from bench.scores import between, cell, table
from service.artefact.card import Card
from service.artefact.file import Artefact, load
from service.dicom.canvas import canvas, grey_values
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from service.triage.site_rule import default_rule
from training.data.pixel_path import Radiographs
from training.data.sources import read
from training.evaluation.adjudicated import Adjudicated, assess_adjudicated
from training.evaluation.bootstrap import entry
from training.evaluation.calibration import MIN_POSITIVES
from training.evaluation.metrics import Numbers, auroc, curve, macro, ranking
from training.evaluation.predictions import Predictions, empty
from training.evaluation.scores import Part, Reading, Row
from training.evaluation.triage_table import NO_FINDING, URGENT, triage_table
from training.report.triage_summary import share

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("AGCNN_REALDATA", ROOT.parent / "shared" / "data"))
FOLDER = "nih-128"
BATCH = 8
MARK = "prevalence: python -m bench.prevalence --write"


def probabilities(session: Session, radiographs: Radiographs) -> Numbers:
    """[N, K] float64 in [0, 1]: the artefact's calibrated probabilities for every radiograph."""
    preprocessing = session.artefact.card.preprocessing
    rows: list[np.ndarray] = []
    for paths in np.split(np.array(radiographs.paths, object), range(BATCH, len(radiographs), BATCH)):
        canvases = [canvas(grey_values(path), preprocessing.canvas_size, preprocessing.resize) for path in paths]
        rows += [outputs.fusion for outputs in session.run(np.stack(canvases))]
        print(f"\r{len(rows)} of {len(radiographs)}", end="", file=sys.stderr, flush=True)
    return np.stack(rows).astype(np.float64)


def part(radiographs: Radiographs, fusion: Numbers) -> Part:
    """The images with their probabilities `[N, K]`, as an evaluation has them."""
    _, boxes, peaks = empty(*fusion.shape)
    logits = np.repeat(logit(np.clip(fusion, 1e-7, 1 - 1e-7))[None], 3, 0).astype(np.float32)
    predictions = Predictions(logits, boxes, peaks, radiographs.cases, radiographs.labels)
    return Part(radiographs.name, predictions, (Reading("fusion", fusion, {"": fusion}),))


def aurocs(images: Part) -> Numbers:
    """AUROC of every finding on every resample of the patients: `[1 + R, K]`."""
    truth, scores = images.predictions.targets == 1, images.readings[0].scores
    ranked = [ranking(column, positive) for column, positive in zip(scores.T, truth.T, strict=True)]
    return images.resamples.evaluate(lambda weights: np.stack([auroc(curve(each, weights)) for each in ranked], 1))


def section(artefact: Artefact, images: Part) -> str:
    """The section of the README: macro AUROC, triage table and order of the worklist."""
    card, labels, samples = artefact.card, images.predictions.labels, aurocs(images)
    outcome = triage_table(images, card.operating_points, default_rule(labels))
    each = {label: cell(entry(column)) for label, column in zip(labels, samples.T, strict=True)}
    parts = [
        headline(artefact, images, samples),
        table([["images with", "images", "AUROC", "STAT", "HIGH", "ROUTINE", "alerted"], *triage_rows(outcome, each)]),
        table([["worklist's order for", "prevalence", "AUROC", *precision_head(outcome)], *order_rows(outcome)]),
        rule_line(outcome),
        *against_radiologists(images, card),
    ]
    return "\n\n".join(parts)


def headline(artefact: Artefact, images: Part, samples: Numbers) -> str:
    """The macro AUROC, from the samples `[1 + R, K]` of each finding, and the findings that it averages."""
    predicted, card = images.predictions, artefact.card
    chosen = predicted.targets.sum(0) >= MIN_POSITIVES
    names = [label for label, is_chosen in zip(predicted.labels, chosen, strict=True) if is_chosen]
    count = f"{len(predicted):,} images of {len(set(predicted.patients)):,} patients"
    return (
        f"`{card.name}` {card.version} (SHA-256 `{artefact.sha256[:12]}…`) on {images.split}: {count}, in their "
        "natural prevalence. Macro AUROC "
        f"**{cell(entry(macro(samples[:, chosen])))}** over the {len(names)} findings with at least {MIN_POSITIVES} "
        f"positives: {', '.join(names)}."
    )


def rule_line(outcome: Row) -> str:
    """The rule in words, and which of its findings have no effect."""
    stat, high = (", ".join(outcome["rule"][name]) for name in ("STAT", "HIGH"))
    without = ", ".join(outcome["without_operating_point"]) or "none"
    return (
        f"The rule: STAT for {stat}; HIGH for {high}. *Urgent* means that one of these is present. "
        f"Without an operating point, and so without effect: {without}."
    )


def against_radiologists(images: Part, card: Card) -> Iterator[str]:
    """A sentence for each finding of which at least ten images are positive by the adjudicated labels."""
    rows, findings = realigned(DATA / "adjudicated" / "google2019.csv", DATA), KEPT[1:]
    values = {Path(row[KEPT[0]]).stem: tuple(float(row[name] == "YES") for name in findings) for row in rows}
    document = assess_adjudicated(images, card.operating_points, Adjudicated("google2019.csv", findings, values))
    for row in document["agreement"]:
        if row["adjudicated"] < MIN_POSITIVES:
            continue
        by = {score["against"]: score for score in document["scores"] if score["finding"] == row["finding"]}
        yield (
            f"Against radiologists: of these images, {document['images']} were adjudicated by Google Health. For "
            f"{row['finding']}, scored by the highest probability of {', '.join(row['labels'])}, AUROC is "
            f"**{cell(by['adjudicated']['auroc'])}** against the radiologists ({row['adjudicated']} positive) and "
            f"{cell(by['published']['auroc'])} against the labels of the data set ({row['published']} positive), which "
            f"agree with the radiologists by a Cohen's κ of {cell(row['kappa'])}."
        )


def triage_rows(outcome: Row, scores: dict[str, str]) -> Iterator[list[str]]:
    """A row for each finding, those of the rule first, for the urgent images and for those without a finding."""
    rows = {row["label"]: row for row in outcome["findings"]}
    ruled = [*outcome["rule"]["STAT"], *outcome["rule"]["HIGH"]]
    others = [label for label in scores if label not in ruled]
    for label in (*ruled, *others, URGENT, NO_FINDING):
        row = rows[label]
        counts = [str(row[name]) for name in ("STAT", "HIGH", "ROUTINE")]
        name = f"**{label}**" if label in (URGENT, NO_FINDING) else label
        yield [name, str(row["positives"]), scores.get(label, ""), *counts, share(row["alerted"])]


def precision_head(outcome: Row) -> list[str]:
    """Heads of the columns of precision."""
    return [f"precision of the first {first}" for first in outcome["order"][0]["precision"]]


def order_rows(outcome: Row) -> Iterator[list[str]]:
    """A row for each thing that the worklist's order should bring to the top."""
    for row in outcome["order"]:
        shares = ["n/a" if value is None else f"{value:.2f}" for value in row["precision"].values()]
        yield [row["label"], f"{row['positives']} of {row['images']:,}", cell(row["auroc"]), *shares]


def main() -> None:
    """Print the section, and write it to the README if asked to."""
    artefact = load(SHIPPED_ARTEFACT)
    radiographs = read(DATA / FOLDER, "test", artefact.card.preprocessing.canvas_size)
    text = section(artefact, part(radiographs, probabilities(Session(artefact), radiographs)))
    if "--write" in sys.argv:
        between(ROOT / "README.md", MARK, text)
    print(text)


if __name__ == "__main__":
    main()
