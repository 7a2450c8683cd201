from pathlib import Path

import numpy as np
import pytest

from model.labels import LABELS
from training.data.chestxray14 import read
from training.evaluation.comparison import read_tables
from training.evaluation.localisation import localisation
from training.evaluation.predictions import Predictions
from training.evaluation.scores import Part, resampled_scores, score_rows

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def whole(realdata: Path) -> Part:
    """The test list with CheXNet's published predictions; without a network, boxes are the whole canvas."""
    folder = realdata / "nih-subset"
    cases = tuple(read(folder, "test", 224).cases)
    boxes = np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (len(cases), 1))
    predicted = Predictions(np.zeros((3, len(cases), 14), np.float32), boxes, np.full((len(cases), 2), 0.5), cases)
    return Part("test", predicted, read_tables([folder / "chexnet_predictions.csv"], cases, LABELS))


def mean_auroc(part: Part) -> float:
    reading = part.readings[0]
    rows = score_rows(part, reading, resampled_scores(part, reading))
    # The published mean is over all findings, the macro average over those with enough positives.
    return float(np.mean([row["value"] for row in rows if row["name"] == "auroc" and row["label"] != "macro"]))


def test_chexnet_s_published_predictions_have_their_known_scores(whole: Part) -> None:
    within = np.flatnonzero([case.collection == "B" for case in whole.predictions.cases])
    assert len(whole.predictions) == 258
    assert round(mean_auroc(whole), 3) == 0.823
    assert round(mean_auroc(whole.subset("B", within)), 3) == 0.748


def test_every_published_box_is_scored(realdata: Path) -> None:
    counted = 0
    for split in ("train+val", "test"):
        cases = tuple(read(realdata / "nih-subset", split, 224).cases)
        boxes = np.tile(np.array([0.0, 0.0, 1.0, 1.0], np.float32), (len(cases), 1))
        predicted = Predictions(np.zeros((3, len(cases), 14), np.float32), boxes, np.full((len(cases), 2), 0.5), cases)
        rows_of = [row for row in localisation(Part(split, predicted, ())) if row["label"] == "all"]
        by_measure = {(row["measure"], row["at"], row["by"]): row for row in rows_of}
        counted += by_measure["pointing", None, "attention"]["boxes"]
        drawn_boxes = np.array([box for case in cases for boxes in case.boxes.values() for box in boxes])
        areas = (drawn_boxes[:, 2:] - drawn_boxes[:, :2]).prod(1)
        assert by_measure["pointing", None, "random"]["value"] == pytest.approx(areas.mean())
        for control in ("attention", "random", "centre"):  # equal boxes, as the box is the whole canvas
            assert by_measure["iobb", 0.1, control]["value"] == pytest.approx((areas > 0.1).mean())
    assert counted == 55
