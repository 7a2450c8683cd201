import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from training.evaluation import bootstrap
from training.evaluation.bootstrap import entry, evaluate_all, interval, resamples
from training.evaluation.label_scores import LabelScores
from training.evaluation.metrics import CURVE_SCORES, Numbers, auroc, curve, quotient, ranking


def every(patients: list[str], count: int = 1000, seed: int = 0) -> np.ndarray:
    return np.concatenate(list(resamples(patients, count, seed).weights()))


def test_the_first_resample_is_the_images_as_they_are() -> None:
    np.testing.assert_array_equal(every(["b", "a", "b"])[0], 1)


def test_patients_are_drawn_whole() -> None:
    weights = every(["a", "a", "b", "c", "c", "c"], 500, seed=1)
    assert weights.shape == (501, 6)
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, 3], weights[:, 5])
    np.testing.assert_array_equal(weights[:, [0, 2, 3]].sum(1), 3)
    assert weights[1:, 0].mean() == pytest.approx(1, abs=0.15)


def test_equal_patients_and_seed_give_equal_draws() -> None:
    np.testing.assert_array_equal(every(["a", "b", "c"]), every(["a", "b", "c"]))
    assert (every(["a", "b", "c"]) != every(["a", "b", "c"], seed=1)).any()


def test_the_draws_of_a_resample_depend_on_its_number_alone() -> None:
    drawn = resamples(["a", "b", "c", "c"], 50)
    (every,) = drawn.draws()
    np.testing.assert_array_equal(next(drawn.draws(20, 30)), every[20:30])
    np.testing.assert_array_equal(next(resamples(["a", "b", "c", "c"], 30).draws()), every[:31])
    assert len({draw.tobytes() for draw in every}) > 5


def test_patients_are_drawn_within_their_fold() -> None:
    """Two patients of fold 0 and three of fold 1, whose names are not in the order of the folds."""
    drawn = resamples(["z", "z", "y", "a", "b", "c"], 200, folds=[0, 0, 0, 1, 1, 1])
    weights = np.concatenate(list(drawn.weights()))
    np.testing.assert_array_equal(weights[:, 0], weights[:, 1])
    np.testing.assert_array_equal(weights[:, [0, 2]].sum(1), 2)
    np.testing.assert_array_equal(weights[:, 3:].sum(1), 3)
    assert weights[1:, 0].std() > 0


def test_totals_are_those_of_the_weights() -> None:
    values = np.random.default_rng(0).random((5, 3))
    drawn = resamples(["a", "b", "b", "c", "a"], 150)
    np.testing.assert_allclose(drawn.totals(values), np.concatenate(list(drawn.weights())) @ values)


def test_results_do_not_depend_on_the_number_of_processes() -> None:
    generator = np.random.default_rng(1)
    positive, owner = generator.random(90) < 0.4, np.arange(90)
    scores = generator.normal(positive, 1)
    measure = LabelScores(scores, positive, {"": expit(scores)}, owner, owner % 2, CURVE_SCORES)
    tasks = [(resamples([str(number // 2) for number in range(90)], count), measure) for count in (150, 99)]
    for one, two in zip(evaluate_all(tasks, 1), evaluate_all(tasks, 2), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(evaluate_all(tasks)[1], tasks[1][0].evaluate(measure))
    assert one.shape == (100, len(measure.names))


def test_blocks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    patients, values = ["a", "b", "b", "c"], np.array([1.0, 2.0, 3.0, 4.0])

    def mean(weights: Numbers) -> Numbers:
        return quotient(weights @ values, weights.sum(1))

    whole = resamples(patients).evaluate(mean)
    monkeypatch.setattr(bootstrap, "ELEMENTS", 9)
    np.testing.assert_array_equal(resamples(patients).evaluate(mean), whole)
    assert whole[0] == 2.5


def test_a_sample_equals_resampling_by_hand() -> None:
    generator = np.random.default_rng(2)
    scores, positive = generator.random(20), generator.random(20) < 0.5
    patients = [str(number // 2) for number in range(20)]
    ranked = ranking(scores, positive)
    drawn = resamples(patients).evaluate(lambda weights: auroc(curve(ranked, weights)))
    for row in (0, 1, 101, 999):
        picked = np.repeat(np.arange(20), every(patients)[row].astype(int))
        assert drawn[row] == pytest.approx(roc_auc_score(positive[picked], scores[picked]))


def test_the_interval_has_its_nominal_coverage() -> None:
    generator, covered = np.random.default_rng(4), 0
    for _ in range(60):
        positive = generator.random(150) < 0.3
        ranked = ranking(generator.normal(positive * 1.0, 1), positive)  # AUROC = Phi(1 / sqrt 2) = 0.7602
        drawn = resamples([str(n) for n in range(150)], 400).evaluate(lambda w, ranked=ranked: auroc(curve(ranked, w)))
        low, high = interval(drawn)
        covered += low < 0.7602 < high
    assert covered >= 51


def test_the_interval_excludes_the_value_and_undefined_samples() -> None:
    assert interval(np.array([9.0, 1.0, np.nan, 1.0])) == (1, 1)
    assert np.isnan(interval(np.array([0.5, np.nan]))).all()


def test_entries_have_null_for_nan() -> None:
    assert entry(np.array([0.5, 0.4, 0.4])) == {"value": 0.5, "interval": [0.4, 0.4]}
    assert entry(np.array([np.nan, 0.4])) == {"value": None, "interval": None}
    assert entry(np.array([0.5, np.nan])) == {"value": 0.5, "interval": None}


def test_no_patients_give_empty_samples() -> None:
    assert every([]).shape == (1001, 0)
