"""The triage table, on images small enough to count by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import roc_auc_score

from service.triage.rule import Rule
from tests.service.records import operating_point
from tests.training.cases import cases, predicted
from training.evaluation.scores import Part, Reading, Row
from training.evaluation.triage_table import apply, precision, present, triage_table, urgency

LABELS = ("Cardiomegaly", "Mass", "Pneumothorax")
POINTS = tuple(operating_point(0.5) for _ in LABELS)
RULE = Rule(("Pneumothorax",), ("Mass",))
NAN = np.nan
#        Cardiomegaly, Mass, Pneumothorax
PROBABILITIES = np.array([
    [0.9, 0.1, 0.1],  # ROUTINE, margin logit .1
    [0.1, 0.6, 0.1],  # HIGH, logit .6
    [0.1, 0.9, 0.1],  # HIGH, logit .9
    [0.1, 0.1, 0.7],  # STAT, logit .7
    [0.1, 0.2, 0.3],  # ROUTINE, logit .3
    [0.1, 0.2, 0.2],  # ROUTINE, logit .2
])  # fmt: skip
TARGETS = np.array([
    [1, 0, 0],
    [0, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
    [0, 0, 1],
    [0, 0, 0],
], float)  # fmt: skip


def part(probabilities: np.ndarray = PROBABILITIES, targets: np.ndarray = TARGETS) -> Part:
    predictions = predicted(np.stack([logit(probabilities)] * 3), cases(targets))
    reading = Reading("fusion", probabilities, {"": probabilities})
    return Part("test", replace(predictions, labels=LABELS), (reading,))


def row(table: Row, section: str, label: str) -> Row:
    return next(row for row in table[section] if row["label"] == label)


def test_images_are_counted_by_priority() -> None:
    table = triage_table(part(), POINTS, RULE)
    counts = {
        row["label"]: [row[name] for name in ("positives", "STAT", "HIGH", "ROUTINE")] for row in table["findings"]
    }
    assert counts == {
        "Cardiomegaly": [1, 0, 0, 1],
        "Mass": [1, 0, 1, 0],
        "Pneumothorax": [2, 1, 0, 1],
        "urgent": [3, 1, 1, 1],
        "No Finding": [2, 0, 1, 1],
    }
    assert table["priorities"] == {"STAT": 1, "HIGH": 2, "ROUTINE": 3}
    assert row(table, "findings", "No Finding")["alerted"]["value"] == 0.5
    assert row(table, "findings", "urgent")["alerted"]["value"] == pytest.approx(2 / 3)
    low, high = row(table, "findings", "urgent")["alerted"]["interval"]
    assert 0 <= low < 2 / 3 < high <= 1


def test_the_order_is_the_worklists() -> None:
    np.testing.assert_array_equal(np.argsort(-urgency(apply(PROBABILITIES, LABELS, POINTS, RULE))), [3, 2, 1, 4, 5, 0])


def test_the_order_is_scored_against_what_it_should_bring_first() -> None:
    table = triage_table(part(), POINTS, RULE)
    assert [row["label"] for row in table["order"]] == ["urgent", "Pneumothorax"]
    order = [0, 3, 4, 5, 2, 1]  # higher first, by hand
    for label, truth in {"urgent": [0, 0, 1, 1, 1, 0], "Pneumothorax": [0, 0, 0, 1, 1, 0]}.items():
        scored = row(table, "order", label)
        assert scored["auroc"]["value"] == pytest.approx(roc_auc_score(truth, order))
        assert (scored["positives"], scored["images"]) == (sum(truth), 6)
        assert scored["precision"] == {"10": None, "20": None, "50": None}


def test_a_rule_without_operating_points_orders_nothing() -> None:
    table = triage_table(part(), [POINTS[0], None, None], RULE)
    assert table["without_operating_point"] == ["Mass", "Pneumothorax"]
    assert table["priorities"] == {"STAT": 0, "HIGH": 0, "ROUTINE": 6}
    assert row(table, "order", "urgent")["auroc"]["value"] == 0.5


def test_an_unknown_truth_is_not_counted() -> None:
    targets = TARGETS.copy()
    targets[1, 2] = NAN  # urgent or not; No Finding or not
    targets[3, 1] = NAN  # urgent whatever Mass is
    table = triage_table(part(targets=targets), POINTS, RULE)
    assert row(table, "findings", "No Finding")["positives"] == 1
    assert (row(table, "order", "urgent")["positives"], row(table, "order", "urgent")["images"]) == (3, 5)
    assert (row(table, "order", "Pneumothorax")["positives"], row(table, "order", "Pneumothorax")["images"]) == (2, 5)


def test_present_by_hand() -> None:
    targets = np.array([[1, NAN], [0, NAN], [0, 0], [0, 1]])
    np.testing.assert_array_equal(present(targets), [1, NAN, 0, 1])


def test_precision_by_hand() -> None:
    positive = np.array([True, False, True, False])
    assert precision(np.array([4.0, 3, 2, 1]), positive, 1) == 1
    assert precision(np.array([4.0, 3, 2, 1]), positive, 3) == pytest.approx(2 / 3)
    assert precision(np.array([4.0, 1, 1, 1]), positive, 2) == pytest.approx((1 + 1 / 3) / 2)  # a third is drawn
    assert precision(np.ones(4), positive, 4) == 0.5
    assert precision(np.ones(4), positive, 5) is None


def test_a_label_set_without_any_of_the_rules_findings_has_no_urgent_image() -> None:
    table = triage_table(part(), POINTS, Rule((), ()))
    assert (row(table, "findings", "urgent")["positives"], row(table, "order", "urgent")["auroc"]["value"]) == (0, None)
