import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from model.labels import LABELS
from tests.training.evaluation.decisions import THRESHOLD, part, points
from training.evaluation.predictive_values import OBSERVED, STATED, at_prevalence, predictive_values
from training.evaluation.scores import Part, Row

MASS = LABELS.index("Mass")


def rows(whole: Part, stated: dict[str, float], *labels: str) -> dict[tuple[str, str, str], Row]:
    return {(row["name"], row["label"], row["basis"]): row for row in predictive_values(whole, points(*labels), stated)}


def test_values_at_test_are_those_of_the_confusion_matrix() -> None:
    whole = part()
    table = rows(whole, {}, "Mass")
    assert set(table) == {(name, "Mass", OBSERVED) for name in ("ppv", "npv", "alert_rate")}
    truth = whole.predictions.targets[20:, MASS] == 1
    alert = whole.readings[0].probabilities[""][20:, MASS] >= THRESHOLD
    (passed, alarms), (missed, hits) = confusion_matrix(truth, alert)
    assert table["ppv", "Mass", OBSERVED]["value"] == pytest.approx(hits / (hits + alarms))
    assert table["npv", "Mass", OBSERVED]["value"] == pytest.approx(passed / (passed + missed))
    assert table["alert_rate", "Mass", OBSERVED]["value"] == pytest.approx(alert.mean())
    for row in table.values():
        low, high = row["interval"]
        assert low < row["value"] < high
        assert (row["images"], row["prevalence"]) == (100, truth.mean())


def test_values_at_a_stated_prevalence_are_those_of_images_resampled_to_it() -> None:
    """Each positive counted once and each negative nine times, as often as it takes for a prevalence of a tenth."""
    whole = part()
    truth = whole.predictions.targets[20:, MASS] == 1
    alert = whole.readings[0].probabilities[""][20:, MASS] >= THRESHOLD
    weight = np.where(truth, 1 / truth.sum(), 9 / (~truth).sum())
    table = rows(whole, {"Mass": 0.1, "Edema": 0.2}, "Mass")
    assert {key[1] for key in table} == {"Mass"}
    assert table["ppv", "Mass", STATED]["value"] == pytest.approx(np.average(truth[alert], weights=weight[alert]))
    assert table["npv", "Mass", STATED]["value"] == pytest.approx(np.average(~truth[~alert], weights=weight[~alert]))
    assert table["alert_rate", "Mass", STATED]["value"] == pytest.approx(np.average(alert, weights=weight))
    assert table["ppv", "Mass", STATED]["prevalence"] == 0.1


def test_values_by_hand() -> None:
    """Sensitivity 0.8, specificity 0.9 and prevalence 0.25: 0.2 hits, 0.075 alarms, 0.675 passed, 0.05 missed."""
    values = dict(at_prevalence(np.array([0.8]), np.array([0.1]), np.array([0.25])))
    assert values["ppv"][0] == pytest.approx(0.2 / 0.275)
    assert values["npv"][0] == pytest.approx(0.675 / 0.725)
    assert values["alert_rate"][0] == pytest.approx(0.275)


def test_without_positives_they_are_undefined() -> None:
    for row in rows(part(), {"Hernia": 0.1}, "Hernia").values():
        assert (row["value"], row["interval"]) == (None, None)
