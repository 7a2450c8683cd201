import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from model.labels import LABELS
from service.artefact.card import Metric
from service.artefact.model_card import ModelCard
from tests.training.cases import cases, predicted
from training.data.sources import canvases, read
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.assessment import out_of_fold_part
from training.evaluation.bootstrap import resamples
from training.evaluation.calibration import calibrate
from training.evaluation.metrics import CURVE_SCORES
from training.evaluation.predictions import Predictions
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.run import Plan, train
from training.report import evaluate
from training.report.evaluate import Evaluation
from training.report.summary import summary_lines

NAMES = {"brier", "ece", "brier_uncalibrated", "ece_uncalibrated"}


def random_predictions(count: int, seed: int, better: float = 0.0) -> Predictions:
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, 14)) < 0.3).astype(np.float32)
    logits = generator.normal(0, 1, (3, count, 14)) + 0.8 * targets
    logits[0] += better * targets
    return predicted(logits, cases(targets, ("A", "B"), f"{seed}-"))


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples are faster, and no test here depends on their number."""
    for module in ("scores", "localisation"):
        monkeypatch.setattr(f"training.evaluation.{module}.resamples", partial(resamples, count=20))


@pytest.fixture
def evaluation(published: Path, small: TrainConfig, tmp_path: Path) -> tuple[Path, Evaluation]:
    """A run that takes seconds, and two folds with random predictions."""
    config = replace(small, epochs=(1, 1, 1))
    train(Plan(published, tmp_path / "cache"), config, tmp_path / "run", resume=False)
    folds = (tmp_path / "fold1", tmp_path / "fold2")
    for seed, fold in enumerate(folds):
        fold.mkdir()
        predictions.save(fold / "held_out.npz", random_predictions(120, seed))
        checkpoint.write_json(fold / "run.json", {"network": asdict(config.network)})
    return tmp_path / "run", Evaluation(folds, published, tmp_path / "cache", "B")


def test_the_card_has_the_entries_that_export_requires(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    card = json.loads((run / evaluate.CARD).read_text())
    assert set(card) == {"operating_points", "training_data", "metrics", "statistics", "model_card"}
    ModelCard.model_validate_json(json.dumps(card["model_card"]))
    assert len(card["operating_points"]) == len(LABELS)
    assert set(card["statistics"]["probability"]) == set(LABELS)
    splits = {metric["split"]: metric["images"] for metric in card["metrics"]}
    assert splits == {
        "out-of-fold, train+val": 240,
        "out-of-fold, train+val, collection B": 120,
        "test": 8,
        "test, collection B": 2,
    }
    assert len(card["metrics"]) == len(splits) * 15 * (3 + 3 + 1 + 1)
    for metric in card["metrics"]:
        Metric.model_validate_json(json.dumps(metric))
    assert card["metrics"][0]["name"] == "auroc"


def test_the_documents_have_every_section(evaluation: tuple[Path, Evaluation], tmp_path: Path) -> None:
    run, plan = evaluation
    names = ["image", *LABELS]
    images = [case.image for case in read(plan.data, "test", 64).cases]
    values = np.random.default_rng(0).random((len(images), 14))
    lines = [",".join([image, *map(str, row)]) for image, row in zip(images, values, strict=True)]
    (tmp_path / "peer.csv").write_text("\n".join([",".join(names), *lines]))
    evaluate.evaluate(run, replace(plan, compare=(tmp_path / "peer.csv",)))
    metrics = json.loads((run / evaluate.METRICS).read_text())
    assert metrics["data"]["test"] == {"images": 8, "patients": 4}
    assert {row["name"] for row in metrics["metrics"]} == {*CURVE_SCORES, *NAMES}
    assert {row["branch"] for row in metrics["metrics"]} == {"fusion", "global", "local"}
    assert {row["branch"] for row in metrics["compared"]} == {"peer"}
    assert {row["split"] for row in metrics["compared"]} == {"test", "test, collection B"}
    assert {(row["branch"], row["against"]) for row in metrics["differences"]} == {
        ("fusion", "global"),
        ("local", "global"),
        ("peer", "fusion"),
    }
    assert {row["by"] for row in metrics["subgroups"]} == {"sex", "age", "view", "collection"}
    assert {(row["split"], row["boxes"]) for row in metrics["localisation"]} >= {("test", 2)}
    assert [line for line in summary_lines(metrics) if line.startswith("test, peer minus fusion: macro AUROC ")]
    page = (run / evaluate.REPORT).read_text()
    assert "peer" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_folds_without_a_finding_are_refused(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for seed, fold in enumerate(plan.folds):
        predictions.save(
            fold / "held_out.npz", predicted(np.zeros((3, 9, 14)), cases(np.zeros((9, 14)), prefix=f"{seed}-"))
        )
    for score in (evaluate.cross_validate, partial(evaluate.evaluate, run)):
        with pytest.raises(TrainingError, match="held-out images of the folds: no image has a finding"):
            score(plan)
    assert not (run / evaluate.CARD).exists()


def test_an_earlier_run_with_a_random_fusion_layer_is_refused(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    document = checkpoint.read_json(run / "run.json")
    document["config"]["stages"] = ["global"]
    del document["trained"]
    checkpoint.write_json(run / "run.json", document)
    with pytest.raises(TrainingError, match="stage fusion was never trained"):
        evaluate.evaluate(run, plan)


def pooled(plan: Evaluation) -> Predictions:
    return predictions.pool([evaluate.held_out_predictions(fold) for fold in plan.folds])


def test_out_of_fold_calibration_is_fitted_on_the_other_folds(evaluation: tuple[Path, Evaluation]) -> None:
    _, plan = evaluation
    folds = [evaluate.held_out_predictions(fold) for fold in plan.folds]
    whole = out_of_fold_part(folds, plan.collection)
    first, second = (predictions.load(fold / "held_out.npz") for fold in plan.folds)
    expected = calibrate(second.within("B")).probabilities(first.logits)[0]
    np.testing.assert_array_equal(whole.readings[0].probabilities[""][:120], expected)
    alone = out_of_fold_part(folds[:1], plan.collection)
    assert set(alone.readings[0].probabilities) == {"_uncalibrated"}


def test_the_test_list_is_calibrated_with_the_written_calibration(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    metrics = evaluate.evaluate(run, plan)
    test, calibration = predictions.load(run / "test.npz"), evaluate.load_calibration(run)
    fitted = calibrate(pooled(plan).within("B"))
    np.testing.assert_array_equal(calibration.slope, fitted.slope)
    row = next(
        row
        for row in metrics["metrics"]
        if (row["name"], row["split"], row["branch"], row["label"]) == ("brier", "test", "local", "Mass")
    )
    mass = LABELS.index("Mass")
    expected = ((calibration.probabilities(test.logits)[2, :, mass] - test.targets[:, mass]) ** 2).mean()
    assert row["value"] == pytest.approx(expected)


def test_folds_of_another_network_are_refused(evaluation: tuple[Path, Evaluation], small: TrainConfig) -> None:
    run, plan = evaluation
    other = {"network": asdict(replace(small, pooling="max").network)}
    checkpoint.write_json(plan.folds[1] / "run.json", other)
    with pytest.raises(TrainingError, match="fold2: its network differs from the run's"):
        evaluate.evaluate(run, plan)


def test_folds_that_held_out_a_patient_of_the_test_list_are_refused(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    held_out = random_predictions(120, 1)
    patient = read(plan.data, "test", 64).cases[0].patient
    cases = (replace(held_out.cases[0], patient=patient), *held_out.cases[1:])
    predictions.save(plan.folds[1] / "held_out.npz", replace(held_out, cases=cases))
    with pytest.raises(TrainingError, match="fold2: 1 patients that it held out are in the test list too"):
        evaluate.evaluate(run, plan)


def test_patients_of_the_starting_weights_are_left_out(
    evaluation: tuple[Path, Evaluation], published: Path, tmp_path: Path
) -> None:
    run, plan = evaluation
    first, fold = tmp_path / "first", plan.folds[0]
    (first).mkdir()
    earlier = {"data": str(published), "split": "train", "fold": None, "init": None, "teachers": []}
    checkpoint.write_json(first / "plan.json", earlier)  # trained on the patients 0 to 11
    checkpoint.write_json(fold / "plan.json", earlier | {"init": str(first / "network.safetensors")})
    held_out = predictions.load(fold / "held_out.npz")
    known = tuple(replace(case, patient=str(number % 24)) for number, case in enumerate(held_out.cases))
    predictions.save(fold / "held_out.npz", replace(held_out, cases=known))
    assert len(evaluate.held_out_predictions(fold)) == 60
    assert set(evaluate.held_out_predictions(fold).patients) == {str(number) for number in range(12, 24)}
    predictions.save(
        fold / "held_out.npz", replace(held_out, cases=tuple(replace(case, patient="3") for case in known))
    )
    with pytest.raises(TrainingError, match="was trained on every patient"):
        evaluate.evaluate(run, plan)


def test_a_collection_without_images_is_refused(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for command in (lambda plan: evaluate.evaluate(run, plan), evaluate.cross_validate):
        with pytest.raises(TrainingError, match="folds: no image of collection C"):
            command(replace(plan, collection="C"))


def test_scores_of_a_test_list_without_positives_are_undefined(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    table = plan.data / "Data_Entry_2017_v2020.csv"
    test_images = set((plan.data / "test_list.txt").read_text().split())
    rows = [line.split(",") for line in table.read_text().splitlines()]
    table.write_text("\n".join(",".join([r[0], "No Finding" if r[0] in test_images else r[1], *r[2:]]) for r in rows))
    (plan.data / "BBox_List_2017.csv").unlink()
    metrics = evaluate.evaluate(run, replace(plan, collection=""))
    tested = [row for row in metrics["metrics"] if row["split"] == "test"]
    assert {row["name"] for row in tested if row["value"] is not None} == {"prevalence", *NAMES}
    assert metrics["operating_points_on_test"] == []
    assert "test, 8 images, fusion: macro AUROC n/a over 0 findings" in list(summary_lines(metrics))
    assert "n/a" in (run / evaluate.REPORT).read_text()


@pytest.mark.timeout(300)
def test_two_processes_give_the_same_scores_as_one(evaluation: tuple[Path, Evaluation], root: Path) -> None:
    run, plan = evaluation
    words = ["evaluate", "--run", run, "--data", plan.data, "--cache", plan.cache]
    words += [word for fold in plan.folds for word in ("--fold", fold)]
    results = []
    for devices in (1, 2):
        command = [sys.executable, root / "tests" / "training" / "agcnn.py", *words, "--devices", devices]
        environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        answer = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout.count("test, 8 images, fusion: macro AUROC") == 1
        results.append((predictions.load(run / "test.npz"), checkpoint.read_json(run / evaluate.METRICS)["metrics"]))
    (one, scores), (two, again) = results
    assert one.cases == two.cases
    for name in ("logits", "boxes", "peaks"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), atol=1e-6)
    assert [row["value"] for row in again] == pytest.approx([row["value"] for row in scores], abs=1e-6)


def test_thresholds_come_from_the_folds_within_the_collection(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    point = evaluate.evaluate(run, plan)["operating_points"][0]
    assert point["source"] == "out-of-fold, tiny train+val, collection B"
    assert point["positives"] + point["negatives"] == 120
    assert point["specificity"] >= 0.95
    calibration = evaluate.load_calibration(run)
    folds = pooled(plan).within("B")
    probabilities = calibration.probabilities(folds.logits)[0, :, 0]
    hits = (probabilities[folds.targets[:, 0] == 1] >= point["threshold"]).mean()
    assert hits == pytest.approx(point["sensitivity"])


def test_the_macro_average_is_the_mean_of_the_defined_labels(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for split in ("test", "out-of-fold, train+val, collection B"):
        scores = {
            metric["label"]: metric["value"]
            for metric in evaluate.evaluate(run, plan)["metrics"]
            if (metric["name"], metric["split"], metric["branch"]) == ("auroc", split, "local")
        }
        defined = [value for label, value in scores.items() if label != "macro" and value is not None]
        assert scores["macro"] == pytest.approx(np.mean(defined))


def test_statistics_are_computed_on_the_validation_images(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    statistics = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    images = canvases(plan.data, "val", 64, plan.cache)
    assert statistics["pixel_mean"][0] == pytest.approx(images.pixels.mean() / 255)
    calibrated = evaluate.load_calibration(run).probabilities(predictions.load(run / "held_out.npz").logits)[0]
    assert statistics["probability"]["Mass"] == pytest.approx([calibrated[:, 4].mean(), calibrated[:, 4].std()])


def test_a_run_on_train_and_val_takes_its_statistics_from_the_folds(
    evaluation: tuple[Path, Evaluation], small: TrainConfig, tmp_path: Path
) -> None:
    _, plan = evaluation
    run = tmp_path / "whole"
    config = replace(small, stages=("global",), epochs=(1, 1, 1))
    train(Plan(plan.data, plan.cache, "train+val"), config, run, resume=False)
    evaluate.evaluate(run, plan)
    statistics = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    calibrated = evaluate.load_calibration(run).probabilities(pooled(plan).logits)[0]
    assert statistics["probability"]["Edema"] == pytest.approx([calibrated[:, 9].mean(), calibrated[:, 9].std()])
    assert statistics["pixel_mean"][0] == pytest.approx(
        canvases(plan.data, "train+val", 64, plan.cache).pixels.mean() / 255
    )


def test_cross_validation_does_not_read_the_test_list(
    evaluation: tuple[Path, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "canvases", lambda *_: pytest.fail("opened a split"))
    metrics = evaluate.cross_validate(evaluation[1])
    assert {score["split"] for score in metrics["metrics"]} == {
        "out-of-fold, train+val",
        "out-of-fold, train+val, collection B",
    }
