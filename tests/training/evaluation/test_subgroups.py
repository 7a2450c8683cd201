from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.cases import cases, predicted
from training.data.sample import Case
from training.evaluation.bootstrap import resamples
from training.evaluation.scores import Part, Reading
from training.evaluation.subgroups import band, groups, subgroups


@pytest.mark.parametrize(
    ("age", "name"),
    [(0, "0-17"), (17.9, "0-17"), (18, "18-39"), (40, "40-59"), (60, "60-79"), (80, "80+"), (None, "unknown")],
)
def test_age_bands(age: float | None, name: str) -> None:
    assert band(Case("a", "a", (), age=age)) == name


def test_groups_are_ordered_and_unknown_is_shown_only_if_present() -> None:
    one = Case("a", "a", (), sex="M", age=85, view="AP")
    two = replace(one, image="b", sex="F", age=20, view="")
    indices = {(by, group): rows.tolist() for by, group, rows in groups((one, two))}
    assert indices == {
        ("sex", "F"): [1],
        ("sex", "M"): [0],
        ("age", "18-39"): [1],
        ("age", "80+"): [0],
        ("view", "AP"): [0],
        ("view", "unknown"): [1],
    }


def test_each_group_is_scored_on_its_own_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.evaluation.scores.resamples", partial(resamples, count=100))
    generator = np.random.default_rng(0)
    targets = (generator.random((60, 14)) < 0.4).astype(float)
    targets[:, 13] = 0
    made = tuple(replace(case, sex="FM"[row % 2], collection="AB"[row < 20]) for row, case in enumerate(cases(targets)))
    predictions = predicted(generator.normal(0, 1, (3, 60, 14)), made)
    rows = subgroups(
        Part("test", predictions, (Reading("fusion", predictions.logits[0]), Reading("global", predictions.logits[1])))
    )
    assert {(row["by"], row["group"]) for row in rows} == {
        ("sex", "F"), ("sex", "M"), ("collection", "A"), ("collection", "B"),
    }  # fmt: skip
    assert {row["branch"] for row in rows} == {"fusion"}
    women = {(row["name"], row["label"]): row for row in rows if row["group"] == "F"}
    expected = roc_auc_score(targets[::2, 3], predictions.logits[0, ::2, 3])
    assert women["auroc", "Infiltration"]["value"] == pytest.approx(expected)
    assert women["prevalence", "Infiltration"]["value"] == targets[::2, 3].mean()
    assert women["auroc", "Infiltration"]["images"] == 30
    assert women["auroc", "Hernia"]["value"] is None
    assert women["prevalence", "Hernia"]["value"] == 0
    low, high = women["auroc", "macro"]["interval"]
    assert low < women["auroc", "macro"]["value"] < high
