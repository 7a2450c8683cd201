import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve
from torchmetrics.classification import BinarySensitivityAtSpecificity, BinarySpecificityAtSensitivity

from training.evaluation.metrics import (
    CURVE_SCORES,
    Curve,
    aurocs,
    brier,
    clopper_pearson,
    curve,
    macro,
    ranking,
)

PAIRS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=40)


def once(name: str, scores: np.ndarray, positive: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """One measure of the curve; every image once by default."""
    weights = np.ones((1, len(scores))) if weights is None else weights.astype(float)
    return CURVE_SCORES[name]([curve(ranking(scores, positive), weights)])


def arrays(pairs: list[tuple[int, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([score for score, _ in pairs], float), np.array([flag for _, flag in pairs], bool)


def test_by_hand() -> None:
    scores, positive = np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])
    assert once("auroc", scores, positive)[0] == 0.875  # 3.5 of 4 pairs
    assert once("auprc", scores, positive)[0] == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert once("prevalence", scores, positive)[0] == 0.5
    assert once("sensitivity_at_specificity_0.90", scores, positive)[0] == 0.5  # above 0.4 alone
    assert once("specificity_at_sensitivity_0.90", scores, positive)[0] == 0.5  # at 0.4 and above


def test_one_alarm_in_ten_is_a_specificity_of_nine_tenths() -> None:
    scores = np.array([0.9, 0.8, *np.linspace(0.1, 0.5, 9)])
    positive = np.array([False, True, *[False] * 9])
    assert once("sensitivity_at_specificity_0.90", scores, positive)[0] == 1
    assert once("sensitivity_at_specificity_0.95", scores, positive)[0] == 0


@settings(deadline=None)
@given(PAIRS)
def test_auroc_is_sklearn_s(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(pairs)
    value = once("auroc", scores, positive)[0]
    if positive.all() or not positive.any():
        assert np.isnan(value)
    else:
        wins = [(p > n) + (p == n) / 2 for p in scores[positive] for n in scores[~positive]]
        assert value == pytest.approx(np.mean(wins))
        assert value == pytest.approx(roc_auc_score(positive, scores))


@settings(deadline=None)
@given(PAIRS, st.integers(0, 1000))
def test_weighted_average_precision_is_sklearn_s(pairs: list[tuple[int, bool]], seed: int) -> None:
    scores, positive = arrays(pairs)
    weights = np.random.default_rng(seed).integers(0, 4, len(scores))
    value = once("auprc", scores, positive, weights[None])[0]
    if not weights[positive].sum():
        assert np.isnan(value)
    else:
        assert value == pytest.approx(average_precision_score(positive, scores, sample_weight=weights))


@settings(deadline=None)
@given(PAIRS, st.sampled_from([0.9, 0.95]))
def test_operating_characteristics_are_the_best_point_of_sklearn_s_roc(
    pairs: list[tuple[int, bool]], at: float
) -> None:
    scores, positive = arrays(pairs)
    sensitivity = once(f"sensitivity_at_specificity_{at:.2f}", scores, positive)[0]
    specificity = once(f"specificity_at_sensitivity_{at:.2f}", scores, positive)[0]
    if positive.all() or not positive.any():
        assert np.isnan([sensitivity, specificity]).all()
        return
    alarms, hits, _ = roc_curve(positive, scores, drop_intermediate=False)
    assert sensitivity == pytest.approx(hits[1 - alarms >= at - 1e-9].max())
    assert specificity == pytest.approx((1 - alarms)[hits >= at - 1e-9].max())


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("sensitivity_at_specificity_0.90", BinarySensitivityAtSpecificity(0.9)),
        ("specificity_at_sensitivity_0.95", BinarySpecificityAtSensitivity(0.95)),
    ],
)
def test_operating_characteristics_are_torchmetrics_s(
    name: str, oracle: Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
) -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(333) < 0.3
    scores = np.round(generator.normal(positive, 1), 1) / 10 + 0.5
    expected, _ = oracle(torch.from_numpy(scores), torch.from_numpy(positive).long())
    assert once(name, scores, positive)[0] == pytest.approx(expected.item(), abs=1e-6)


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.integers(0, 1000))
def test_weights_count_an_image_as_often_as_they_say(pairs: list[tuple[int, bool]], seed: int) -> None:
    scores, positive = arrays(pairs)
    weights = np.random.default_rng(seed).integers(0, 4, (3, len(scores)))
    measured = {name: once(name, scores, positive, weights) for name in CURVE_SCORES}
    likely = ranking(scores / 6, positive)
    measured["brier"] = brier(likely, weights.astype(float))
    for row, weight in enumerate(weights):
        repeated, truth = np.repeat(scores, weight), np.repeat(positive, weight)
        for name, values in measured.items():
            if name in CURVE_SCORES:
                expected = once(name, repeated, truth)
            else:
                expected = brier(ranking(repeated / 6, truth), np.ones((1, len(repeated))))
            assert values[row] == pytest.approx(expected[0], nan_ok=True, abs=1e-12), name


@settings(deadline=None)
@given(PAIRS)
def test_brier_is_sklearn_s(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = arrays(pairs)
    value = brier(ranking(scores / 6, positive), np.ones((1, len(scores))))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single class
        assert value == pytest.approx(brier_score_loss(positive, scores / 6, pos_label=True))


def test_scores_without_images_are_undefined() -> None:
    nothing, weights = ranking(np.zeros(0), np.zeros(0, bool)), np.zeros((2, 0))
    for measure in CURVE_SCORES.values():
        assert np.isnan(measure([curve(nothing, weights)])).all()
    assert np.isnan(brier(nothing, weights)).all()


def test_a_curve_rises_to_the_totals() -> None:
    counts = curve(ranking(np.array([3.0, 1.0, 3.0]), np.array([True, True, False])), np.array([[1.0, 2.0, 1.0]]))
    assert isinstance(counts, Curve)
    np.testing.assert_array_equal(counts.hits, [[1, 3]])
    np.testing.assert_array_equal(counts.alarms, [[1, 1]])


def test_folds_are_scored_by_themselves_and_averaged() -> None:
    """The second network's logits are higher by 10, so that pooled, its negatives outrank the first one's positives."""
    first, second = np.array([3.0, 1, 2, 0]), np.array([13.0, 12, 11])
    truth = np.array([True, True, False, False]), np.array([False, True, False])
    ones = np.ones((1, 7))
    curves = [
        curve(ranking(scores, flags), ones[:, : len(flags)])
        for scores, flags in zip((first, second), truth, strict=True)
    ]
    assert CURVE_SCORES["auroc"](curves)[0] == pytest.approx((3 + 1) / (4 + 2))  # pairs within a fold
    assert once("auroc", np.concatenate([first, second]), np.concatenate(truth))[0] == pytest.approx(6 / 12)
    precision = [average_precision_score(flags, scores) for scores, flags in zip((first, second), truth, strict=True)]
    assert CURVE_SCORES["auprc"](curves)[0] == pytest.approx((2 * precision[0] + precision[1]) / 3)
    assert CURVE_SCORES["prevalence"](curves)[0] == pytest.approx(3 / 7)
    assert CURVE_SCORES["specificity_at_sensitivity_0.90"](curves)[0] == pytest.approx((2 * 0.5 + 2 * 0.5) / 4)


def test_a_fold_without_positives_does_not_count() -> None:
    ones = np.ones((1, 2))
    curves = [curve(ranking(np.array([1.0, 2.0]), np.array([False, truth])), ones) for truth in (True, False)]
    assert CURVE_SCORES["auroc"](curves)[0] == 1
    assert CURVE_SCORES["specificity_at_sensitivity_0.90"](curves)[0] == 1
    assert np.isnan(CURVE_SCORES["auroc"](curves[1:] * 2)[0])


def test_unknown_targets_are_excluded() -> None:
    scores = np.array([[0.1], [0.2], [0.9], [0.5]])
    targets = np.array([[0.0], [1.0], [np.nan], [0.0]])
    assert aurocs(scores, targets)[0, 0] == 0.5


def test_macro_is_the_mean_of_defined_values() -> None:
    assert macro(np.array([0.5, np.nan, 0.7])) == pytest.approx(0.6)
    assert np.isnan(macro(np.array([np.nan, np.nan])))


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (3, 17), (95, 100), (1, 1)])
def test_clopper_pearson_is_scipy_s_exact_interval(hits: int, trials: int) -> None:
    expected = binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(hits, trials) == pytest.approx((expected.low, expected.high))


def test_without_trials_the_interval_is_0_to_1() -> None:
    assert clopper_pearson(0, 0) == (0, 1)
