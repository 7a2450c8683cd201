from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from model.labels import LABELS
from tests.training.cases import cases, predicted
from training.evaluation.bootstrap import resamples
from training.evaluation.label_scores import PROBABILITY_SCORES
from training.evaluation.metrics import CURVE_SCORES
from training.evaluation.scores import Part, Reading, differences, resampled_scores, score_rows
from training.report.summary import number, summary_lines

COUNT = 200


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples are faster."""
    monkeypatch.setattr("training.evaluation.scores.resamples", partial(resamples, count=COUNT))


def part(better: float = 0.0, seed: int = 0) -> Part:
    """Two hundred images; no Hernia, five of Fibrosis, Mass unknown for half."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((200, 14)) < 0.3).astype(np.float32)
    targets[:, LABELS.index("Hernia")] = 0
    targets[:, LABELS.index("Fibrosis")] = np.arange(200) < 5
    targets[::2, LABELS.index("Mass")] = np.nan
    truth = np.nan_to_num(targets)
    logits = generator.normal(0, 1, (3, 200, 14)) + 0.8 * truth
    logits[0] += better * truth
    predictions = predicted(logits, cases(targets))
    names = ("fusion", "global", "local")
    probabilities = expit(predictions.logits.astype(float))
    readings = [Reading(name, predictions.logits[n], {"": probabilities[n]}) for n, name in enumerate(names)]
    return Part("test", predictions, tuple(readings))


def scored(samples: Part) -> dict[tuple[str, str], dict[str, object]]:
    reading = samples.readings[0]
    return {
        (row["name"], row["label"]): row for row in score_rows(samples, reading, resampled_scores(samples, reading))
    }


def test_every_score_of_every_label_has_a_value_within_its_interval() -> None:
    rows = scored(part())
    assert set(rows) == {
        (name, label) for name in (*CURVE_SCORES, *PROBABILITY_SCORES, "ece") for label in (*LABELS, "macro")
    }
    for name in ("auroc", "auprc", "prevalence", "specificity_at_sensitivity_0.90", *PROBABILITY_SCORES):
        for label in ("Atelectasis", "macro"):
            low, high = rows[name, label]["interval"]  # type: ignore[misc]
            assert low < rows[name, label]["value"] < high


def test_the_customary_calibration_error_has_no_interval() -> None:
    """Its resamples are biased, as a test of `calibration_error` shows; the error without bias has one."""
    rows = scored(part())
    assert rows["ece", "Atelectasis"]["interval"] is None
    low, high = rows["calibration_error", "Atelectasis"]["interval"]  # type: ignore[misc]
    assert 0 <= low <= rows["calibration_error", "Atelectasis"]["value"] <= high


def test_undefined_scores_are_null() -> None:
    rows = scored(part())
    assert (rows["auroc", "Hernia"]["value"], rows["auroc", "Hernia"]["interval"]) == (None, None)
    assert rows["brier", "Hernia"]["value"] is not None
    assert rows["auroc", "Fibrosis"]["value"] is not None
    assert rows["sensitivity_at_specificity_0.95", "Fibrosis"]["value"] is None  # five positives
    assert rows["auroc", "Fibrosis"]["positives"] == 5


def test_macro_is_the_mean_over_the_labels_it_names() -> None:
    rows = scored(part())
    for name in ("auroc", "sensitivity_at_specificity_0.90", "prevalence", "brier"):
        row = rows[name, "macro"]
        over = row["labels"]
        assert over == [label for label in LABELS if label not in ("Fibrosis", "Hernia")]  # five and no positives
        assert row["value"] == pytest.approx(np.mean([rows[name, label]["value"] for label in over]))  # type: ignore[attr-defined]
        assert row["positives"] == sum(rows[name, label]["positives"] for label in over)  # type: ignore[attr-defined,misc]


def test_the_macro_average_of_every_resample_is_over_the_same_labels() -> None:
    """Ten positives of Hernia are in one patient's images, so that a third of the resamples have none."""
    whole, hernia = part(), LABELS.index("Hernia")
    rows = [
        replace(case, patient="one", findings=(*case.findings[:hernia], 1.0)) if number < 10 else case
        for number, case in enumerate(whole.predictions.cases)
    ]
    whole = replace(whole, predictions=replace(whole.predictions, cases=tuple(rows)))
    reading = whole.readings[0]
    draws = resampled_scores(whole, reading)["auroc"]
    row = scored(whole)["auroc", "macro"]
    over = [LABELS.index(label) for label in row["labels"]]  # type: ignore[attr-defined]
    assert hernia in over
    undefined = np.isnan(draws[1:, hernia])
    assert 0.25 < undefined.mean() < 0.5
    assert row["resamples"] == COUNT - undefined.sum()
    expected = np.percentile(draws[1:][~undefined][:, over].mean(1), [2.5, 97.5])
    np.testing.assert_allclose(row["interval"], expected)  # type: ignore[arg-type]


def test_folds_are_ranked_by_themselves() -> None:
    """The second network's logits are all higher, which ranks its images above the first one's when pooled."""
    whole = part()
    folds = np.arange(200) // 100
    logits = whole.predictions.logits + 3 * folds[None, :, None].astype(np.float32)
    predictions = replace(whole.predictions, logits=logits, folds=folds)
    shifted = Part("out-of-fold", predictions, (Reading("fusion", logits[0]),))
    rows = scored(shifted)
    truth = predictions.targets[:, 0]
    pairs = [int((truth[folds == k] == 1).sum() * (truth[folds == k] == 0).sum()) for k in (0, 1)]
    within = [roc_auc_score(truth[folds == k], logits[0, folds == k, 0]) for k in (0, 1)]
    value = rows["auroc", "Atelectasis"]["value"]
    assert value == pytest.approx(np.average(within, weights=pairs))
    assert roc_auc_score(truth, logits[0, :, 0]) < value - 0.05  # type: ignore[operator]
    low, high = rows["auroc", "Atelectasis"]["interval"]  # type: ignore[misc]
    assert low < value < high


def test_unknown_targets_are_not_scored() -> None:
    whole, mass = part(), LABELS.index("Mass")
    targets = whole.predictions.targets[1::2, mass]
    expected = roc_auc_score(targets, whole.predictions.logits[0, 1::2, mass])
    assert scored(whole)["auroc", "Mass"]["value"] == pytest.approx(expected)


def test_a_label_that_is_unknown_for_all_images_has_no_scores() -> None:
    whole, mass = part(), LABELS.index("Mass")
    cases = [
        replace(case, findings=(*case.findings[:mass], float("nan"), *case.findings[mass + 1 :]))
        for case in whole.predictions.cases
    ]
    rows = scored(replace(whole, predictions=replace(whole.predictions, cases=tuple(cases))))
    assert {row["value"] for (_, label), row in rows.items() if label == "Mass"} == {None}
    assert "Mass" not in rows["auroc", "macro"]["labels"]  # type: ignore[operator]


def test_differences_are_paired() -> None:
    better = part(better=1.5)
    draws = {reading.name: resampled_scores(better, reading) for reading in better.readings}
    by_label = {row["label"]: row for row in differences(better, ("fusion", "global"), draws)}
    assert set(by_label) == {*LABELS, "macro"}
    assert by_label["macro"]["interval"][0] > 0
    assert by_label["Hernia"]["value"] is None
    single = {
        name: {row["label"]: row["value"] for row in score_rows(better, reading, draws[name]) if row["name"] == "auroc"}
        for name, reading in zip(draws, better.readings, strict=True)
    }
    for label in ("Edema", "macro"):
        assert by_label[label]["value"] == pytest.approx(single["fusion"][label] - single["global"][label])
    draws["copy"] = draws["global"]
    copied = differences(better, ("copy", "global"), draws)[-1]
    assert (copied["value"], copied["interval"]) == (0, [0, 0])


def test_a_subset_selects_readings_and_images_alike() -> None:
    whole = part()
    few = whole.subset("few", np.array([5, 3]))
    assert [case.image for case in few.predictions.cases] == ["5", "3"]
    np.testing.assert_array_equal(few.readings[1].scores, whole.predictions.logits[1, [5, 3]])
    np.testing.assert_array_equal(few.readings[1].probabilities[""], expit(few.readings[1].scores.astype(float)))


def test_numbers_are_formatted_with_their_interval() -> None:
    row = {"value": 0.8, "interval": [0.75, 0.85]}
    assert number(row) == "0.800 (0.750-0.850)"
    assert number({"value": -0.01, "interval": [-0.02, 0.01]}, "+") == "-0.010 (-0.020 to +0.010)"
    assert number({"value": None, "interval": None}) == "n/a"


def test_the_summary_compares_the_box_with_its_controls() -> None:
    def share(measure: str, at: float | None, by: str, value: float | None) -> dict[str, object]:
        about = {"split": "test", "label": "all", "boxes": 55, "images": 52}
        return {**about, "measure": measure, "at": at, "by": by, "value": value, "interval": value and [0.1, 0.9]}

    metrics = {
        "data": {"test": {}}, "metrics": [], "differences": [], "compared": [],
        "localisation": [share("pointing", None, "attention", 0.5), share("pointing", None, "random", 0.1),
                         share("iou", 0.3, "attention", 0.2), share("iou", 0.3, "centre", None)],
    }  # fmt: skip
    assert list(summary_lines(metrics)) == [
        "test, 55 boxes, pointing: attention 0.500 (0.100-0.900), random 0.100 (0.100-0.900)",
        "test, 55 boxes, IoU > 0.3: attention 0.200 (0.100-0.900), centre n/a",
    ]


def test_resamples_are_those_of_the_part_s_patients() -> None:
    whole = part()
    patients = tuple(replace(case, patient="one") for case in whole.predictions.cases)
    alone = replace(whole, predictions=replace(whole.predictions, cases=patients))
    row = score_rows(alone, alone.readings[0], resampled_scores(alone, alone.readings[0]))[0]
    assert row["interval"] == [row["value"]] * 2  # resampling a single patient gives no variation
