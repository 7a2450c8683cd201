import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from training.metrics import (
    auroc,
    aurocs,
    bootstrap,
    clopper_pearson,
    macro,
    percentiles,
    resamples,
    score_labels,
)


def naive(scores: np.ndarray, positive: np.ndarray) -> float:
    wins = [(p > n) + (p == n) / 2 for p in scores[positive] for n in scores[~positive]]
    return float(np.mean(wins))


def test_auroc_by_hand() -> None:
    scores = np.array([0.1, 0.4, 0.4, 0.8])
    assert auroc(scores, np.array([False, False, True, True]))[0] == 0.875  # 3.5 of 4 pairs


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auroc_with_ties_is_the_share_of_pairs_and_sklearn_s(pairs: list[tuple[int, bool]]) -> None:
    scores = np.array([score for score, _ in pairs], float)
    positive = np.array([flag for _, flag in pairs])
    found = auroc(scores, positive)[0]
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(naive(scores, positive))
        assert found == pytest.approx(roc_auc_score(positive, scores))


def test_weights_count_an_image_as_often_as_they_say() -> None:
    generator = np.random.default_rng(0)
    scores, positive = generator.integers(0, 9, 30).astype(float), generator.random(30) < 0.4
    weights = generator.integers(0, 4, (5, 30))
    found = auroc(scores, positive, weights)
    for value, weight in zip(found, weights, strict=True):
        assert value == pytest.approx(naive(np.repeat(scores, weight), np.repeat(positive, weight)))


def test_no_image_no_value() -> None:
    assert np.isnan(auroc(np.zeros(0), np.zeros(0, bool))[0])


def test_unknown_targets_are_left_out() -> None:
    scores = np.array([[0.1], [0.2], [0.9], [0.5]])
    targets = np.array([[0.0], [1.0], [np.nan], [0.0]])
    assert aurocs(scores, targets)[0, 0] == 0.5


def test_macro_is_over_what_is_defined() -> None:
    assert macro(np.array([0.5, np.nan, 0.7])) == pytest.approx(0.6)
    assert np.isnan(macro(np.array([np.nan, np.nan])))


def test_resamples_draw_patients_whole() -> None:
    weights = resamples(["a", "a", "b", "c", "c", "c"], 500, seed=1)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(1), 3)
    assert weights[:, 0].mean() == pytest.approx(1, abs=0.15)


def test_bootstrap_equals_resampling_by_hand() -> None:
    generator = np.random.default_rng(2)
    scores, targets = generator.random((20, 2)), generator.integers(0, 2, (20, 2)).astype(float)
    patients = [str(number // 2) for number in range(20)]
    drawn = bootstrap(scores, targets, patients)
    assert drawn.shape == (1000, 2)
    for row in (0, 101, 999):  # in different blocks
        picked = np.repeat(np.arange(20), resamples(patients)[row].astype(int))
        assert drawn[row, 1] == pytest.approx(roc_auc_score(targets[picked, 1], scores[picked, 1]))


def test_scores_of_labels_end_with_the_macro_average() -> None:
    generator = np.random.default_rng(3)
    targets = (generator.random((200, 3)) < 0.3).astype(float)
    targets[:, 2] = 0
    scores = targets + generator.normal(0, 1, targets.shape)
    found = score_labels(scores, targets, [str(number) for number in range(200)])
    assert len(found) == 4
    for score in (found[0], found[1], found[3]):
        assert score.interval[0] < score.value < score.interval[1]
    assert np.isnan(found[2].value)
    assert found[2].positives == 0
    assert found[3].value == pytest.approx((found[0].value + found[1].value) / 2)
    assert found[3].positives == found[0].positives + found[1].positives


def test_the_interval_covers_as_often_as_it_says() -> None:
    generator, covered = np.random.default_rng(4), 0
    for _ in range(60):
        positive = generator.random(150) < 0.3
        scores = generator.normal(positive * 1.0, 1)  # AUROC = Phi(1 / sqrt 2) = 0.7602
        score = score_labels(scores[:, None], positive[:, None].astype(float), [str(n) for n in range(150)])[0]
        covered += score.interval[0] < 0.7602 < score.interval[1]
    assert covered >= 51


def test_percentiles_of_nothing_are_nan() -> None:
    assert np.isnan(percentiles(np.array([np.nan]))).all()


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (3, 17), (95, 100), (1, 1)])
def test_clopper_pearson_is_scipy_s_exact_interval(hits: int, trials: int) -> None:
    wanted = binomtest(hits, trials).proportion_ci(0.95, "exact")
    assert clopper_pearson(hits, trials) == pytest.approx((wanted.low, wanted.high))


def test_no_trials_say_nothing() -> None:
    assert clopper_pearson(0, 0) == (0, 1)
