from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from tests.training.cases import cases, predicted
from training.errors import TrainingError
from training.evaluation import scores
from training.evaluation.bootstrap import interval, resamples
from training.evaluation.predictions import Predictions
from training.evaluation.systems import Comparison, System, compare

FEW = 40  # resamples


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "resamples", partial(resamples, count=FEW))


def run(seed: int, gain: float) -> Predictions:
    """Sixty images of thirty patients; Hernia, the last label, has four positives. Targets are those of every run."""
    generator = np.random.default_rng(0)
    targets = (generator.random((60, 14)) < 0.4).astype(float)
    targets[:, -1] = np.arange(60) < 4
    rows = tuple(replace(case, patient=str(place // 2)) for place, case in enumerate(cases(targets, ("A", "B"))))
    noise = np.random.default_rng(seed).normal(size=(3, 60, 14))
    return predicted(noise + gain * targets, rows)


BASELINE, BETTER = System("A", (run(1, 0.5), run(2, 0.5))), System("B", (run(3, 2.0), run(4, 2.0), run(5, 2.0)))


def found(compared: Comparison, system: str, label: str) -> dict[str, object]:
    return next(row for row in compared.rows if (row["system"], row["label"]) == (system, label))


def naive(system: System, label: int, weights: np.ndarray) -> float:
    """Mean over seeds of the AUROC of the global branch: all pairs of a positive and a negative, counted as drawn."""
    return float(
        np.mean([pairs(each.logits[1, :, label], each.targets[:, label], weights) for each in system.predictions])
    )


def pairs(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:
    counted = np.outer(weights * (truth == 1), weights * (truth == 0))
    return float((counted * (scores[:, None] > scores)).sum() / counted.sum())


def test_values_differences_and_intervals_are_those_of_a_naive_count_on_the_same_resamples() -> None:
    compared = compare([BASELINE, BETTER], "global")
    drawn = resamples(BASELINE.predictions[0].patients, FEW)
    weights = np.concatenate(list(drawn.weights()))
    names = BASELINE.predictions[0].labels
    assert compared.averaged == names[:-1]
    assert (compared.images, compared.patients, compared.positives[names[-1]]) == (60, 30, 4)
    gains = np.array([[naive(BETTER, k, each) - naive(BASELINE, k, each) for k in range(13)] for each in weights])
    row = found(compared, "B", "macro")
    assert row["value"] == pytest.approx(np.mean([naive(BETTER, k, weights[0]) for k in range(13)]))
    assert row["difference"]["value"] == pytest.approx(gains[0].mean())
    assert row["difference"]["interval"] == pytest.approx(interval(gains.mean(1)))
    assert row["seeds"] == pytest.approx(
        [np.mean([naive(System("", (each,)), k, weights[0]) for k in range(13)]) for each in BETTER.predictions]
    )
    assert found(compared, "B", names[3])["difference"]["interval"] == pytest.approx(interval(gains[:, 3]))
    assert found(compared, "A", "macro")["difference"] is None


def test_the_order_of_the_images_does_not_matter() -> None:
    turned = BETTER.predictions[0].subset(np.arange(60)[::-1])
    again = compare([BASELINE, System("B", (turned, *BETTER.predictions[1:]))], "fusion", "B")
    assert again == compare([BASELINE, BETTER], "fusion", "B")
    assert again.images == 30


def test_runs_of_other_images_or_labels_are_refused() -> None:
    other = BETTER.predictions[0].subset(np.arange(59))
    with pytest.raises(TrainingError, match="other test images: 59 and 60, of which 59 are the same"):
        compare([BASELINE, System("B", (other,))], "fusion")
    relabelled = replace(other, labels=("Finding",) * 14)
    with pytest.raises(TrainingError, match="other labels of the same test images"):
        compare([System("A", (other,)), System("B", (relabelled,))], "fusion")
    changed = replace(other, cases=(replace(other.cases[0], findings=(np.nan,) * 14), *other.cases[1:]))
    with pytest.raises(TrainingError, match="other labels of the same test images"):
        compare([System("A", (other,)), System("B", (changed,))], "fusion")
    with pytest.raises(TrainingError, match="no test image is of collection C"):
        compare([BASELINE], "fusion", "C")


def test_without_enough_positives_there_is_no_macro_average() -> None:
    few = System("A", (run(1, 0.5).subset(np.arange(12)),))
    compared = compare([few, few], "fusion")
    assert compared.averaged == ()
    assert [row["value"] for row in compared.rows if row["label"] == "macro"] == [None, None]
    assert found(compared, "A", "Mass")["value"] is not None
