import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.labels import LABELS
from tests.training.cases import cases, predicted
from training import checkpoint, evaluate, predictions
from training.config import TrainConfig
from training.evaluate import Evaluation, difference
from training.predictions import Predictions
from training.run import Plan, train


def made(count: int, seed: int, better: float = 0.0) -> Predictions:
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, 14)) < 0.3).astype(np.float32)
    logits = generator.normal(0, 1, (3, count, 14)) + 0.8 * targets
    logits[0] += better * targets
    return predicted(logits, cases(targets, ("A", "B"), f"{seed}-"))


@pytest.fixture
def evaluation(published: Path, small: TrainConfig, tmp_path: Path) -> tuple[Path, Evaluation]:
    """A run of seconds, and two folds whose predictions are drawn."""
    config = replace(small, epochs=(1, 1, 1))
    train(Plan(published, tmp_path / "cache"), config, tmp_path / "run", resume=False)
    folds = (tmp_path / "fold1", tmp_path / "fold2")
    for seed, fold in enumerate(folds):
        fold.mkdir()
        predictions.save(fold / "held_out.npz", made(120, seed))
    return tmp_path / "run", Evaluation(folds, published, tmp_path / "cache", "B")


def test_the_card_holds_what_export_asks_for(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    card = json.loads((run / evaluate.CARD).read_text())
    assert set(card) == {"operating_points", "training_data", "metrics", "statistics"}
    assert len(card["operating_points"]) == len(LABELS)
    assert set(card["statistics"]["probability"]) == set(LABELS)
    splits = {metric["split"]: metric["images"] for metric in card["metrics"]}
    assert splits == {
        "out-of-fold, train+val": 240,
        "out-of-fold, train+val, collection B": 120,
        "test": 8,
        "test, collection B": 2,
    }
    assert len(card["metrics"]) == len(splits) * 3 * 15


def test_thresholds_come_from_the_folds_within_the_collection(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    point = evaluate.evaluate(run, plan)["operating_points"][0]
    assert point["source"] == "out-of-fold, tiny train+val, collection B"
    assert point["positives"] + point["negatives"] == 120
    assert point["specificity"] >= 0.95
    calibration = evaluate.load_calibration(run)
    folds = evaluate.out_of_fold(plan.folds).within("B")
    probabilities = calibration.probabilities(folds.logits)[0, :, 0]
    hits = (probabilities[folds.targets[:, 0] == 1] >= point["threshold"]).mean()
    assert hits == pytest.approx(point["sensitivity"])


def test_macro_is_the_mean_of_the_labels_it_stands_beside(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for split in ("test", "out-of-fold, train+val, collection B"):
        scores = {
            metric["label"]: metric["value"]
            for metric in evaluate.evaluate(run, plan)["metrics"]
            if (metric["split"], metric["branch"]) == (split, "local")
        }
        defined = [value for label, value in scores.items() if label != "macro" and value is not None]
        assert scores["macro"] == pytest.approx(np.mean(defined))


def test_statistics_are_of_the_validation_images(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    found = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    canvases = evaluate.open_split(plan, "val", 64)
    assert found["pixel_mean"][0] == pytest.approx(canvases.pixels.mean() / 255)
    calibrated = evaluate.load_calibration(run).probabilities(predictions.load(run / "held_out.npz").logits)[0]
    assert found["probability"]["Mass"] == pytest.approx([calibrated[:, 4].mean(), calibrated[:, 4].std()])


def test_a_run_on_train_and_val_takes_its_statistics_from_the_folds(
    evaluation: tuple[Path, Evaluation], small: TrainConfig, tmp_path: Path
) -> None:
    _, plan = evaluation
    run = tmp_path / "whole"
    config = replace(small, stages=("global",), epochs=(1, 1, 1))
    train(Plan(plan.data, plan.cache, "train+val"), config, run, resume=False)
    evaluate.evaluate(run, plan)
    found = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    calibrated = evaluate.load_calibration(run).probabilities(evaluate.out_of_fold(plan.folds).logits)[0]
    assert found["probability"]["Edema"] == pytest.approx([calibrated[:, 9].mean(), calibrated[:, 9].std()])
    assert found["pixel_mean"][0] == pytest.approx(evaluate.open_split(plan, "train+val", 64).pixels.mean() / 255)


def test_folds_alone_never_look_at_the_test_list(
    evaluation: tuple[Path, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "open_split", lambda *_: pytest.fail("opened a split"))
    scores = evaluate.cross_validated(evaluation[1])
    assert {score["split"] for score in scores} == {"out-of-fold, train+val", "out-of-fold, train+val, collection B"}


def test_the_difference_is_paired() -> None:
    better = difference(made(200, 0, better=1.5))
    assert better["interval"][0] > 0
    same = made(200, 1)
    copied = difference(replace(same, logits=same.logits[[1, 1, 2]]))
    assert (copied["value"], copied["interval"]) == (0, [0, 0])
