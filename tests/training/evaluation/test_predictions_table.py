import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import expit

from model.labels import LABELS
from tests.training.cases import cases, predicted
from training.evaluation import predictions_table
from training.evaluation.comparison import read_table


def test_the_table_is_read_back_by_compare(tmp_path: Path) -> None:
    """`--compare` gets the calibrated probabilities of the fusion branch, to nine digits."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(3, 6, 14)).astype(np.float32)
    rows = cases((generator.random((6, 14)) < 0.5).astype(float), ("A", ""))
    probabilities = expit(2.0 * logits)
    predictions_table.write(tmp_path / "predictions.csv", predicted(logits, rows), probabilities)
    reading = read_table(tmp_path / "predictions.csv", rows[::-1], LABELS)
    assert reading.name == "predictions"
    np.testing.assert_allclose(reading.scores, probabilities[0, ::-1], rtol=1e-8)


def test_a_row_has_every_branch_and_a_blank_for_an_unknown_target(tmp_path: Path) -> None:
    case = replace(cases(np.array([[1.0, np.nan]]))[0], image="a, b.png", patient="p", collection="B")
    logits = np.array([[[1.5, -0.1]], [[2.5, 0.3]], [[3.5, 0.0]]], np.float32)
    test = replace(predicted(logits, (case,)), labels=("Mass", "Edema"))
    predictions_table.write(tmp_path / "predictions.csv", test, np.array([[[0.75, 0.5]], [[0.5, 0.25]], [[1, 0]]]))
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as text:
        (row,) = csv.DictReader(text)
    assert (row["image"], row["patient"], row["collection"]) == ("a, b.png", "p", "B")
    assert (row["target_Mass"], row["target_Edema"]) == ("1", "")
    assert (row["logit_Mass"], row["prob_Mass"]) == ("1.5", "0.75")
    assert (row["global_logit_Edema"], row["global_prob_Edema"]) == ("0.300000012", "0.25")
    assert (row["local_logit_Mass"], row["local_prob_Edema"]) == ("3.5", "0")
    assert len(row) == 3 + 2 * (1 + 3 * 2)
