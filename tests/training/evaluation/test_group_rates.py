from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import recall_score

from model.labels import LABELS
from tests.training.evaluation.decisions import THRESHOLD, part, points
from training.evaluation.group_rates import group_rates
from training.evaluation.scores import Part, Row

MASS = LABELS.index("Mass")


def table(whole: Part, *labels: str) -> dict[tuple[str, str, str, str], Row]:
    rows = group_rates(whole, points(*labels))
    return {(row["name"], row["by"], row["group"], row["label"]): row for row in rows}


def test_rates_and_differences_are_those_of_the_images_in_the_group_and_outside() -> None:
    whole = part()
    rows = table(whole, "Mass", "Edema")
    assert {key[1:3] for key in rows} == {("sex", "F"), ("sex", "M"), ("view", "PA"), ("view", "AP")}
    truth = whole.predictions.targets[:, MASS]
    alert = whole.readings[0].probabilities[""][:, MASS] >= THRESHOLD
    women = np.array([case.sex == "F" for case in whole.predictions.cases])
    known = ~np.isnan(truth)
    for name, kind in (("sensitivity", 1), ("specificity", 0)):
        rates = [
            recall_score(truth[known & inside], alert[known & inside], pos_label=kind) for inside in (women, ~women)
        ]
        row = rows[name, "sex", "F", "Mass"]
        assert row["cases"] == (truth[women] == kind).sum()
        assert row["value"] == pytest.approx(rates[0])
        assert row["difference"] == pytest.approx(rates[0] - rates[1])
        assert rows[name, "sex", "M", "Mass"]["difference"] == pytest.approx(rates[1] - rates[0])
        for value, interval in (("value", "interval"), ("difference", "difference_interval")):
            low, high = row[interval]
            assert low < row[value] < high


def test_the_mean_is_over_labels_with_enough_cases_in_and_outside_the_group() -> None:
    rows = table(part(), "Mass", "Edema", "Hernia")
    row = rows["sensitivity", "view", "AP", "macro"]
    assert row["labels"] == ["Mass", "Edema"]  # Hernia has no positives
    assert rows["sensitivity", "view", "AP", "Hernia"]["value"] is None
    assert rows["specificity", "view", "AP", "macro"]["labels"] == ["Mass", "Edema", "Hernia"]
    pair = [rows["sensitivity", "view", "AP", label] for label in row["labels"]]
    assert row["value"] == pytest.approx(np.mean([each["value"] for each in pair]))
    assert row["difference"] == pytest.approx(np.mean([each["difference"] for each in pair]))
    assert row["cases"] == sum(each["cases"] for each in pair)


def test_images_of_one_patient_in_two_groups_are_drawn_together() -> None:
    """Each patient has two equal images, one of each view, so that no resample has a difference between the views."""
    whole = part()
    cases = [
        replace(case, findings=whole.predictions.cases[n // 2 * 2].findings)
        for n, case in enumerate(whole.predictions.cases)
    ]
    likely = np.repeat(whole.readings[0].probabilities[""][::2], 2, 0)
    reading = replace(whole.readings[0], probabilities={"": likely})
    equal = replace(whole, predictions=replace(whole.predictions, cases=tuple(cases)), readings=(reading,))
    row = table(equal, "Edema")["sensitivity", "view", "PA", "Edema"]
    assert (row["difference"], row["difference_interval"]) == (0, [0, 0])
    assert row["interval"][0] < row["interval"][1]


def test_with_few_cases_or_nothing_outside_there_is_no_difference() -> None:
    whole = part(60)
    few = tuple(
        replace(case, sex="F", view="LL" if number < 12 else "PA")
        for number, case in enumerate(whole.predictions.cases)
    )
    rows = table(replace(whole, predictions=replace(whole.predictions, cases=few)), "Edema")
    assert rows["sensitivity", "sex", "F", "Edema"]["value"] is not None
    assert rows["sensitivity", "sex", "F", "Edema"]["difference"] is None
    assert rows["sensitivity", "view", "LL", "Edema"]["value"] is None  # at most ten of twelve
    assert rows["sensitivity", "sex", "F", "macro"]["labels"] == []
    assert rows["sensitivity", "sex", "F", "macro"]["value"] is None


def test_without_operating_points_or_groups_there_are_no_rows() -> None:
    whole = part(40)
    assert group_rates(whole, points()) == []
    unknown = tuple(replace(case, sex="", view="") for case in whole.predictions.cases)
    assert group_rates(replace(whole, predictions=replace(whole.predictions, cases=unknown)), points("Edema")) == []
