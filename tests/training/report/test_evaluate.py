import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from model.labels import LABELS
from service.artefact.card import Localisation, Metric
from service.artefact.model_card import ModelCard
from tests.ports import free_port
from tests.training.cases import cases, predicted
from tests.training.conftest import write_published
from tests.training.data_sets import chexpert
from tests.training.few_resamples import few_resamples
from training.data.sources import canvases, read
from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.assessment import out_of_fold_part
from training.evaluation.calibration import calibrate
from training.evaluation.class_maps import class_map_quantiles
from training.evaluation.comparison import read_table
from training.evaluation.label_scores import PROBABILITY_SCORES
from training.evaluation.metrics import CURVE_SCORES
from training.evaluation.predictions import Predictions
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.plan import Plan
from training.fit.run import train
from training.fit.served_weights import as_served
from training.report import evaluate
from training.report.calibration_source import from_run, held_out_predictions
from training.report.checklist import answers, contains, guidelines, markdown
from training.report.decision import load_calibration
from training.report.evaluate import Evaluation
from training.report.report_files import CHECKLIST, REPORT
from training.report.sections import SECTIONS
from training.report.summary import summary_lines

UNCALIBRATED_NAMES = {name + "_uncalibrated" for name in (*PROBABILITY_SCORES, "ece")}
NAMES = {*PROBABILITY_SCORES, "ece"} | UNCALIBRATED_NAMES


def random_predictions(count: int, seed: int, better: float = 0.0) -> Predictions:
    generator = np.random.default_rng(seed)
    targets = (generator.random((count, 14)) < 0.3).astype(np.float32)
    logits = generator.normal(0, 1, (3, count, 14)) + 0.8 * targets
    logits[0] += better * targets
    return predicted(logits, cases(targets, ("A", "B"), f"{seed}-"))


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer resamples are faster, and no test here depends on their number."""
    few_resamples(monkeypatch)


@pytest.fixture(scope="module")
def trained(small: TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, their cache and a run on them, of which each test gets a copy."""
    folder = tmp_path_factory.mktemp("trained")
    plan = Plan(write_published(folder / "tiny"), folder / "cache")
    train(plan, replace(small, epochs=(1, 1, 1)), folder / "run", resume=False)
    return folder


@pytest.fixture
def evaluation(published: Path, small: TrainConfig, trained: Path, tmp_path: Path) -> tuple[Path, Evaluation]:
    """A run that takes seconds, and two folds with random predictions."""
    for name in ("run", "cache"):
        shutil.copytree(trained / name, tmp_path / name)
    plan = tmp_path / "run" / "plan.json"
    plan.write_text(plan.read_text().replace(str(trained), str(tmp_path)))
    folds = (tmp_path / "fold1", tmp_path / "fold2")
    for seed, fold in enumerate(folds):
        fold.mkdir()
        predictions.save(fold / "held_out.npz", random_predictions(120, seed))
        checkpoint.write_json(fold / "run.json", {"network": asdict(small.network)})
    return tmp_path / "run", Evaluation(folds, published, tmp_path / "cache", "B")


def test_without_a_second_look_the_card_is_about_the_global_branch(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for fold in plan.folds:  # as an earlier version wrote it
        document = checkpoint.read_json(fold / "run.json")
        del document["network"]["second_look"]
        checkpoint.write_json(fold / "run.json", document)
    metrics = evaluate.evaluate(run, replace(plan, second_look=False))
    lines = [line for line in summary_lines(metrics) if "macro AUROC" in line]
    assert [line for line in lines if line.startswith("test, 8 images, global: ")]
    assert not [line for line in lines if "local" in line or " minus " in line]
    card = json.loads((run / evaluate.CARD).read_text())
    scores = {(row["name"], row["split"], row["label"], row["branch"]): row["value"] for row in card["metrics"]}
    assert card["second_look"] is False
    assert {branch for *_, branch in scores} == {"fusion", "global"}
    assert all(scores[(*key, "fusion")] == value for (*key, branch), value in scores.items() if branch == "global")
    calibration = load_calibration(run)
    assert np.array_equal(calibration.slope[0], calibration.slope[1])
    assert card["model_card"]["model_details"]["network"]["second_look"] is False


def test_the_card_has_the_entries_that_export_requires(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    card = json.loads((run / evaluate.CARD).read_text())
    entries = {"operating_points", "training_data", "metrics", "statistics", "model_card"}
    assert set(card) == entries | {"labels", "untrained", "localisation"}
    localisation = Localisation.model_validate_json(json.dumps(card["localisation"]))
    assert (localisation.source, localisation.images, localisation.boxes) == ("tiny test", 1, 2)
    assert card["labels"] == list(LABELS)
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
    assert len(card["metrics"]) == len(splits) * 15 * (3 + 3 + 1 + 1 + 1 + 1 + 1)
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
    (tmp_path / "read.csv").write_text(f"Image Index,Pneumothorax\n{images[0]},YES\n{images[3]},NO\n")
    evaluate.evaluate(run, replace(plan, compare=(tmp_path / "peer.csv",), adjudicated=tmp_path / "read.csv"))
    metrics = json.loads((run / evaluate.METRICS).read_text())
    assert (metrics["adjudicated"]["source"], metrics["adjudicated"]["images"]) == ("read.csv", 2)
    assert [line for line in summary_lines(metrics) if line.startswith("test, 2 adjudicated images, Pneumothorax: ")]
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
    page = (run / REPORT).read_text()
    assert "peer" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    # What a reviewer asks for.
    assert {row["split"] for row in metrics["characteristics"]} == {"train", "val", "test", "test, collection B"}
    assert [use["use"] for use in metrics["flow"]["uses"]] == [
        "trained on",
        "calibrated on: out-of-fold, train+val",
        "scored",
    ]
    assert metrics["failures_of"] == "test, collection B"
    inside = {case.image for case in read(plan.data, "test", 64).cases if case.collection == "B"}
    assert {row["image"] for row in metrics["failures"]} == inside
    for row in metrics["failures"]:
        assert f"Radiograph {row['image']}, labelled {row['kind']} for {row['label'].replace('_', ' ')}," in page
    probabilities = load_calibration(run).probabilities(predictions.load(run / "test.npz").logits)[0]
    reading = read_table(run / evaluate.TABLE, read(plan.data, "test", 64).cases, LABELS)
    np.testing.assert_allclose(reading.scores, probabilities, rtol=1e-8)
    text = (run / CHECKLIST).read_text()
    documents = {"metrics": metrics, "card": json.loads((run / evaluate.CARD).read_text())}
    documents |= {name: json.loads((run / f"{name}.json").read_text()) for name in ("run", "plan")}
    assert text == markdown(answers(documents), SECTIONS)
    others = {"metrics.external"}  # needs a folder that this evaluation lacks
    paths = {path for guideline in guidelines() for item in guideline.items for path in item.needs}
    assert {path for path in paths if not contains(documents, path)} == others


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
    return predictions.pool([held_out_predictions(fold) for fold in plan.folds])


def test_out_of_fold_calibration_is_fitted_on_the_other_folds(evaluation: tuple[Path, Evaluation]) -> None:
    _, plan = evaluation
    folds = [held_out_predictions(fold) for fold in plan.folds]
    whole = out_of_fold_part(folds, plan.collection)
    first, second = (predictions.load(fold / "held_out.npz") for fold in plan.folds)
    expected = calibrate(second.within("B")).probabilities(first.logits)[0]
    np.testing.assert_array_equal(whole.readings[0].probabilities[""][:120], expected)
    alone = out_of_fold_part(folds[:1], plan.collection)
    assert set(alone.readings[0].probabilities) == {"_uncalibrated"}


def test_the_test_list_is_calibrated_with_the_written_calibration(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    metrics = evaluate.evaluate(run, plan)
    test, calibration = predictions.load(run / "test.npz"), load_calibration(run)
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
    checkpoint.write_json(fold / "plan.json", earlier | {"init": str(first / "network.safetensors"), "fold": [0, 2]})
    held_out = predictions.load(fold / "held_out.npz")
    known = tuple(replace(case, patient=str(number % 24)) for number, case in enumerate(held_out.cases))
    predictions.save(fold / "held_out.npz", replace(held_out, cases=known))
    assert len(held_out_predictions(fold)) == 60
    assert set(held_out_predictions(fold).patients) == {str(number) for number in range(12, 24)}
    predictions.save(
        fold / "held_out.npz", replace(held_out, cases=tuple(replace(case, patient="3") for case in known))
    )
    with pytest.raises(TrainingError, match="was trained on every patient"):
        evaluate.evaluate(run, plan)


def test_a_collection_without_images_is_refused(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    for command in (lambda plan: evaluate.evaluate(run, plan), evaluate.cross_validate):
        with pytest.raises(TrainingError, match="calibration: no image of collection C"):
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
    defined = {name for name in ("prevalence", *NAMES) if not name.startswith(("calibration_slope", "calibration_in"))}
    assert {row["name"] for row in tested if row["value"] is not None} == defined
    assert metrics["operating_points_on_test"] == []
    assert "test, 8 images, fusion: macro AUROC n/a over 0 findings" in list(summary_lines(metrics))
    assert "n/a" in (run / REPORT).read_text()


def test_two_processes_give_the_same_scores_as_one(evaluation: tuple[Path, Evaluation], root: Path) -> None:
    run, plan = evaluation
    scores = evaluate.evaluate(run, replace(plan, collection=""))["metrics"]
    one = predictions.load(run / "test.npz")
    (run / "test.npz").unlink()
    words = ["evaluate", "--run", run, "--data", plan.data, "--cache", plan.cache, "--devices", 2]
    words += [word for fold in plan.folds for word in ("--fold", fold)]
    command = [sys.executable, root / "tests" / "training" / "few_resamples.py", *words]
    # Fabric would choose a port that the system may give to another process before it is used.
    port = {"MASTER_PORT": str(free_port())}
    environment = {**os.environ, **port, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    answer = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("test, 8 images, fusion: macro AUROC") == 1
    two, again = predictions.load(run / "test.npz"), checkpoint.read_json(run / evaluate.METRICS)["metrics"]
    assert one.cases == two.cases
    for name in ("logits", "boxes", "peaks"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), atol=1e-6)
    assert [row["value"] for row in again] == pytest.approx([row["value"] for row in scores], abs=1e-6)


def test_thresholds_come_from_the_folds_within_the_collection(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    metrics = evaluate.evaluate(run, plan)
    point = metrics["operating_points"][0]
    assert [table["split"] for table in metrics["triage"]] == ["test", "test, collection B"]
    without = [label for label, point in zip(LABELS, metrics["operating_points"], strict=True) if point is None]
    assert list(metrics["operating_points_missing"]) == without
    assert point["source"] == "out-of-fold, tiny train+val, collection B"
    assert point["positives"] + point["negatives"] == 120
    assert point["specificity"] >= 0.95
    calibration = load_calibration(run)
    folds = pooled(plan).within("B")
    probabilities = calibration.probabilities(folds.logits)[0, :, 0]
    hits = (probabilities[folds.targets[:, 0] == 1] >= point["threshold"]).mean()
    assert hits == pytest.approx(point["sensitivity"])


def test_the_macro_average_is_the_mean_of_the_labels_with_ten_positives(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    rows = evaluate.evaluate(run, plan)["metrics"]
    for split, count in (("test", 0), ("out-of-fold, train+val, collection B", 14)):
        scores = {
            row["label"]: row for row in rows if (row["name"], row["split"], row["branch"]) == ("auroc", split, "local")
        }
        over = scores["macro"]["labels"]
        assert len(over) == count  # the test list has eight images
        mean = np.mean([scores[label]["value"] for label in over]) if over else None
        assert scores["macro"]["value"] == (mean and pytest.approx(mean))


def test_scores_out_of_fold_are_computed_within_folds(evaluation: tuple[Path, Evaluation]) -> None:
    _, plan = evaluation
    folds = [held_out_predictions(fold) for fold in plan.folds]
    shifted = replace(folds[1], logits=folds[1].logits + 5)  # another network, whose logits are higher
    predictions.save(plan.folds[1] / "held_out.npz", shifted)
    row = next(row for row in evaluate.cross_validate(plan)["metrics"] if row["label"] == LABELS[0])
    pairs = [(fold.targets[:, 0] == 1).sum() * (fold.targets[:, 0] == 0).sum() for fold in folds]
    areas = [roc_auc_score(fold.targets[:, 0], fold.logits[0, :, 0]) for fold in folds]
    assert (row["name"], row["branch"]) == ("auroc", "fusion")
    assert row["value"] == pytest.approx(np.average(areas, weights=pairs))


def validation_predictions(data: Path, count: int, seed: int) -> Predictions:
    """Random predictions under names of images of the validation list."""
    drawn = random_predictions(count, seed)
    names = [case.image for case in read(data, "val", 64).cases]
    named = [replace(case, image=names[number % len(names)]) for number, case in enumerate(drawn.cases)]
    return replace(drawn, cases=tuple(named))


def test_a_run_alone_is_calibrated_on_its_validation_list(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    alone = replace(plan, folds=(), collection="")
    held_out = predictions.load(run / "held_out.npz")
    many = validation_predictions(plan.data, 60, 3)
    predictions.save(run / "held_out.npz", many)  # with eight images there would be no operating point
    metrics = evaluate.evaluate(run, alone)
    assert metrics["calibration"] == {"source": "validation, tiny val", "images": 60}
    assert {row["split"] for row in metrics["metrics"]} == {"validation", "test"}
    validation = {row["name"] for row in metrics["metrics"] if row["split"] == "validation"}
    assert validation == {*CURVE_SCORES, *UNCALIBRATED_NAMES}  # calibration was fitted on all of these images
    assert {point["source"] for point in metrics["operating_points"] if point} == {"validation, tiny val"}
    np.testing.assert_array_equal(load_calibration(run).slope, calibrate(many).slope)
    assert (run / evaluate.CARD).is_file()
    checkpoint.write_json(run / "plan.json", checkpoint.read_json(run / "plan.json") | {"fold": [1, 4]})
    predictions.save(run / "held_out.npz", held_out)
    fold = evaluate.evaluate(run, alone)
    assert fold["calibration"] == {"source": "held-out part 2 of 4, tiny train+val", "images": 8}


def test_of_several_folders_those_that_are_named_calibrate(evaluation: tuple[Path, Evaluation], tmp_path: Path) -> None:
    run, plan = evaluation
    part = tmp_path / "part"
    shutil.copytree(plan.data, part)
    listed = (part / "val_list.txt").read_text().split()
    (part / "val_list.txt").write_text("\n".join(listed[:3]) + "\n")
    source = from_run(run, (part,), second_look=True)
    assert source
    assert source.name == "validation, part val"
    assert {case.image for case in source.predictions.cases} == set(listed[:3])
    predicted = predictions.load(run / "held_out.npz")
    named = tuple(replace(case, image=f"part/{case.image}") for case in predicted.cases)  # as a run on several folders
    predictions.save(run / "held_out.npz", replace(predicted, cases=named))
    several = from_run(run, (part,), second_look=True)
    assert several
    assert len(several.predictions) == len(source.predictions)
    tested = (part / "test_list.txt").read_text().split()
    (part / "val_list.txt").write_text("\n".join(tested[:2]) + "\n")  # both of one patient
    (part / "test_list.txt").write_text("\n".join(tested[2:]) + "\n")
    with pytest.raises(TrainingError, match=r"it held out no image of val of .*part; give the folder"):
        from_run(run, (part,), second_look=True)


def test_validation_is_never_called_out_of_fold(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    with pytest.raises(TrainingError, match="--fold and --run name the same run"):
        evaluate.evaluate(run, replace(plan, folds=(run.parent / "." / "run",)))
    with pytest.raises(TrainingError, match="it was trained without --fold"):
        evaluate.cross_validate(replace(plan, folds=(run,)))
    checkpoint.write_json(plan.folds[0] / "plan.json", {"fold": None})
    with pytest.raises(TrainingError, match="fold1: it was trained without --fold"):
        evaluate.evaluate(run, plan)


def test_predictive_values_decision_curves_and_group_rates(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    test = random_predictions(60, 8)
    stated = replace(plan, prevalence={"Mass": 0.05})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluate.predictions, "predict_distributed", lambda *_: test)
        patch.setattr(evaluate, "write_report", lambda *_: None)
        metrics = evaluate.evaluate(run, stated)
    values = metrics["predictive_values"]
    assert {(row["label"], row["prevalence"]) for row in values if row["basis"] == "stated"} == {("Mass", 0.05)}
    for section in ("predictive_values", "decision_curves"):
        assert {row["split"] for row in metrics[section]} == {"test", "test, collection B"}
    assert {row["by"] for row in metrics["group_rates"]} == {"collection"}
    json.dumps(metrics, allow_nan=False)
    with pytest.raises(TrainingError, match="--prevalence: unknown label 'Masses'"):
        evaluate.evaluate(run, replace(plan, prevalence={"Masses": 0.05}))


def test_statistics_are_computed_on_the_validation_images(evaluation: tuple[Path, Evaluation]) -> None:
    run, plan = evaluation
    evaluate.evaluate(run, plan)
    statistics = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    images = canvases(plan.data, "val", 64, plan.cache)
    assert statistics["pixel_mean"][0] == pytest.approx(images.means().mean())
    calibrated = load_calibration(run).probabilities(predictions.load(run / "held_out.npz").logits)[0]
    assert statistics["probability"]["Mass"] == pytest.approx([calibrated[:, 4].mean(), calibrated[:, 4].std()])
    assert statistics["class_map_quantile"] == class_map_quantiles(as_served(checkpoint.load(run)[0]), images)


def check_uncalibrated(run: Path, metrics: dict[str, Any]) -> None:
    """Without folds, a run on train and val has scores, but neither calibration nor card, not even earlier ones."""
    assert metrics["calibration"] == {"source": None, "images": 0}
    assert {row["split"] for row in metrics["metrics"]} == {"test", "test, collection B"}
    assert {row["name"] for row in metrics["metrics"]} == {*CURVE_SCORES, *UNCALIBRATED_NAMES}
    assert metrics["operating_points"] == [None] * 14
    assert {len(metrics[name]) for name in ("operating_points_on_test", "predictive_values", "group_rates")} == {0}
    assert not (run / evaluate.CARD).exists()
    assert (run / REPORT).is_file()
    assert "not calibrated" in next(summary_lines(metrics))
    with pytest.raises(TrainingError, match="it is not calibrated"):
        load_calibration(run)


def test_a_run_on_train_and_val_takes_its_statistics_from_the_folds(
    evaluation: tuple[Path, Evaluation], small: TrainConfig, tmp_path: Path
) -> None:
    _, plan = evaluation
    run = tmp_path / "whole"
    config = replace(small, stages=("global",), epochs=(1, 1, 1))
    train(Plan(plan.data, plan.cache, "train+val"), config, run, resume=False)
    evaluate.evaluate(run, plan)
    statistics = checkpoint.read_json(run / evaluate.CARD)["statistics"]
    calibrated = load_calibration(run).probabilities(pooled(plan).logits)[0]
    alone = evaluate.evaluate(run, replace(plan, folds=()))
    check_uncalibrated(run, alone)
    assert statistics["probability"]["Edema"] == pytest.approx([calibrated[:, 9].mean(), calibrated[:, 9].std()])
    assert statistics["pixel_mean"][0] == pytest.approx(canvases(plan.data, "train+val", 64, plan.cache).means().mean())


def test_an_external_set_is_a_section_of_its_own_and_leaves_the_card_alone(
    evaluation: tuple[Path, Evaluation], tmp_path: Path
) -> None:
    run, plan = evaluation
    alone = evaluate.evaluate(run, plan)
    card = (run / evaluate.CARD).read_bytes()
    assert "External sets" not in (run / REPORT).read_text()
    metrics = evaluate.evaluate(run, replace(plan, also=(chexpert(tmp_path / "stanford"),)))
    assert (run / evaluate.CARD).read_bytes() == card
    assert {name: value for name, value in metrics.items() if name != "external"} == alone
    assert metrics["external"]["stanford"]["data"] == {"stanford test": {"images": 2, "patients": 2}}
    assert json.loads((run / evaluate.METRICS).read_text())["external"] == metrics["external"]
    assert "stanford: 2 images of 2 patients" in (run / REPORT).read_text()


def test_cross_validation_does_not_read_the_test_list(
    evaluation: tuple[Path, Evaluation], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "joined_canvases", lambda *_: pytest.fail("opened a split"))
    metrics = evaluate.cross_validate(evaluation[1])
    assert {score["split"] for score in metrics["metrics"]} == {
        "out-of-fold, train+val",
        "out-of-fold, train+val, collection B",
    }
