"""Scores against labels that radiologists adjudicated, beside those against the data set's own labels."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from service.artefact.card import OperatingPoint
from training.data.sample import Case
from training.errors import TrainingError
from training.evaluation.bootstrap import Resamples, entry, resamples
from training.evaluation.metrics import Flags, Numbers, auroc, clopper_pearson, curve, quotient, ranking
from training.evaluation.scores import UNCALIBRATED, Part, Row
from training.evaluation.triage_table import present

IMAGE = ("Image Index", "image")  # possible names of the image column
VALUES = {"YES": 1.0, "NO": 0.0}
# Adjudicated finding to the labels that mean the same, any of which makes an image positive. An airspace opacity is air
# replaced by fluid, cells or other matter; so Atelectasis, a loss of volume, is not one of them.
CORRESPONDING: Mapping[str, tuple[str, ...]] = {
    "Pneumothorax": ("Pneumothorax",),
    "Nodule or mass": ("Nodule", "Mass"),
    "Airspace opacity": ("Consolidation", "Edema", "Infiltration", "Pneumonia"),
    "Fracture": ("Fracture",),
}


@dataclass(frozen=True)
class Adjudicated:
    """The adjudicated labels of some images.

    Attributes
    ----------
    source
        Name of the file.
    findings
        Names, in the order of the columns of `values`.
    values
        Image, without the suffix of its file, to 1 or 0 for each finding.
    """

    source: str
    findings: tuple[str, ...]
    values: Mapping[str, tuple[float, ...]]

    def indices(self, cases: Sequence[Case]) -> list[int]:
        """Return the indices of the cases that were adjudicated."""
        return [index for index, case in enumerate(cases) if Path(case.image).stem in self.values]


def read_adjudicated(path: Path, cases: Sequence[Case]) -> Adjudicated:
    """Read a table with a column `Image Index` and, for each finding, a column of YES and NO.

    Such are the tables that Google Health published for ChestX-ray14 (`four_findings_expert_labels`; Majkowska et al.,
    Radiology 2020). Findings that the table has not are left out.

    Raises
    ------
    TrainingError
        The file cannot be read, lacks the columns, has another value or an image twice, or none of the cases is in it.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head, *lines = [line for line in csv.reader(file) if line] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read as CSV ({type(error).__name__})") from None
    columns = ",".join(head).split(",")  # OriginalImage[Width,Height] is one name in quotes, and two columns
    image = next((name for name in IMAGE if name in columns), None)
    findings = tuple(name for name in CORRESPONDING if name in columns)
    if image is None or not findings:
        raise TrainingError(f"{path}: expected a column {IMAGE[0]!r} and one of {', '.join(CORRESPONDING)}")
    values: dict[str, tuple[float, ...]] = {}
    for number, line in enumerate(lines, 2):
        row = dict(zip(columns, line, strict=False))
        name = Path(row[image]).stem
        if len(line) != len(columns) or name in values:
            problem = "an image that was there before" if name in values else f"expected {len(columns)} values"
            raise TrainingError(f"{path}, row {number}: {problem}")
        values[name] = tuple(_value(row[finding], f"{path}, row {number}, {finding}") for finding in findings)
    adjudicated = Adjudicated(path.name, findings, values)
    if not adjudicated.indices(cases):
        raise TrainingError(f"{path}: none of the {len(cases)} images is in it")
    return adjudicated


def _value(text: str, where: str) -> float:
    if text not in VALUES:
        raise TrainingError(f"{where}: expected YES or NO, got {text!r}; are its columns those of the header?")
    return VALUES[text]


def assess_adjudicated(part: Part, points: Sequence[OperatingPoint | None], adjudicated: Adjudicated) -> Row:
    """Score the fusion branch against both kinds of labels on the same images, and the two against each other.

    Parameters
    ----------
    part
        Its first reading is the fusion branch, with probabilities, calibrated unless the run has no calibration.
    points
        K operating points, in label order.

    Returns
    -------
    dict
        `source`, `split`, `images`; `scores`: two rows for each finding, `against` adjudicated and published;
        `agreement`: sensitivity, PPV and Cohen's κ of the published labels, taking the adjudicated ones as the truth;
        `left_out`: findings that no label corresponds to.
    """
    chosen = part.subset(part.split, np.array(adjudicated.indices(part.predictions.cases), np.int64))
    labels, cases = chosen.predictions.labels, chosen.predictions.cases
    truths = np.array([adjudicated.values[Path(case.image).stem] for case in cases])
    document: Row = {
        **{"source": adjudicated.source, "split": part.split, "images": len(cases)},
        **{"scores": [], "agreement": [], "left_out": []},
    }
    for finding, truth in zip(adjudicated.findings, truths.T, strict=True):
        columns = [labels.index(name) for name in CORRESPONDING[finding] if name in labels]
        if not columns:
            document["left_out"].append(finding)
            continue
        about = {"finding": finding, "labels": [labels[column] for column in columns]}
        scores, agreeing = compare(chosen, columns, truth == 1, points)
        document["scores"] += [{**about, **row} for row in scores]
        document["agreement"].append({**about, **agreeing})
    return document


def compare(
    part: Part, columns: Sequence[int], truth: Flags, points: Sequence[OperatingPoint | None]
) -> tuple[list[Row], Row]:
    """Score the labels of these columns against both truths, on the images for which the published one is known.

    Parameters
    ----------
    truth
        `[N]`, whether the finding is present by the adjudicated labels.

    Returns
    -------
    scores, agreement
        Two rows, and one.
    """
    published = present(part.predictions.targets[:, columns])
    known = np.flatnonzero(~np.isnan(published))
    drawn = resamples([part.predictions.patients[index] for index in known])
    likely = part.readings[0].probabilities
    probabilities = likely["" if "" in likely else UNCALIBRATED][known][:, columns]
    alarms = alarmed(probabilities, [points[column] for column in columns])
    truths = {"adjudicated": truth[known], "published": published[known] == 1}
    scores = [
        {"against": against, "images": len(known), "positives": int(positive.sum())}
        | {"auroc": area(probabilities.max(1), positive, drawn), **rates_of(alarms, positive)}
        for against, positive in truths.items()
    ]
    return scores, {"images": len(known), **agreement(truths["published"], truths["adjudicated"], drawn)}


def alarmed(probabilities: Numbers, points: Sequence[OperatingPoint | None]) -> Flags | None:
    """Return whether any label of `[N, k]` reaches its threshold: `[N]`; None where no label has one."""
    pairs = [(column, point) for column, point in zip(probabilities.T, points, strict=True) if point]
    if not pairs:
        return None
    alarms: Flags = np.any([column >= point.threshold for column, point in pairs], axis=0)
    return alarms


def area(scores: Numbers, positive: Flags, drawn: Resamples) -> Row:
    """Return the AUROC of scores `[N]` with its interval."""
    ranked = ranking(scores, positive)
    return entry(drawn.evaluate(lambda weights: auroc(curve(ranked, weights))))


def rates_of(alarms: Flags | None, positive: Flags) -> Row:
    """Return sensitivity and specificity of alarms `[N]`, with exact intervals; None without operating points."""
    if alarms is None:
        return {"sensitivity": None, "specificity": None}
    return {"sensitivity": share(alarms[positive]), "specificity": share(~alarms[~positive])}


def share(hits: Flags) -> Row | None:
    """Return the share of `[n]` that is true, with its exact interval; None without images."""
    if not len(hits):
        return None
    return {"value": float(hits.mean()), "interval": list(clopper_pearson(int(hits.sum()), len(hits)))}


def agreement(labels: Flags, truth: Flags, drawn: Resamples) -> Row:
    """Return sensitivity, PPV and Cohen's κ of labels `[N]` against the truth `[N]`."""

    def kappa(weights: Numbers) -> Numbers:
        """Return κ `[B]` under weights `[B, N]`; NaN where chance alone agrees in full."""
        total = weights.sum(1)
        observed = quotient(weights @ (labels == truth), total)
        ones, trues = quotient(weights @ labels, total), quotient(weights @ truth, total)
        chance = ones * trues + (1 - ones) * (1 - trues)
        return quotient(observed - chance, 1 - chance)

    return {
        "adjudicated": int(truth.sum()),
        "published": int(labels.sum()),
        "sensitivity": share(labels[truth]),
        "ppv": share(truth[labels]),
        "kappa": entry(drawn.evaluate(kappa)),
    }
