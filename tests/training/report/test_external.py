from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from model.agcnn import Agcnn
from model.labels import LABELS
from service.artefact.card import OperatingPoint
from tests.training.data_sets import CHEXPERT_HEADER, chexpert, chexpert_row, picture, write
from training.errors import TrainingError
from training.evaluation.bootstrap import resamples
from training.evaluation.calibration import Calibration
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.report.external import external_scores, open_external_sets, predict_external
from training.report.summary import external_lines

COUNT = 24
IDENTITY = Calibration(np.ones((3, 14)), np.zeros((3, 14)))


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("scores", "localisation"):
        monkeypatch.setattr(f"training.evaluation.{module}.resamples", partial(resamples, count=20))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """CheXpert with a test list of 24 images, every second with an effusion, every third with a fracture."""
    root, rows = chexpert(tmp_path / "stanford"), []
    names = CHEXPERT_HEADER.split(",")[5:]
    for number in range(COUNT):
        path = f"test/patient{65000 + number}/study1/view1_frontal.jpg"
        picture(root / path, number)
        values = {"Pleural Effusion": "01"[number % 2 == 0], "Fracture": "01"[number % 3 == 0]}
        rows.append(chexpert_row(path, dict.fromkeys(names, "0") | values))
    write(root / "test.csv", CHEXPERT_HEADER, rows)
    return root


@pytest.fixture
def run(published: Path, tmp_path: Path) -> Path:
    """The folder of a run on the tiny data set."""
    path = tmp_path / "run"
    path.mkdir()
    checkpoint.write_json(path / "plan.json", {"data": str(published), "split": "train", "fold": None})
    return path


def point(threshold: float) -> OperatingPoint:
    return OperatingPoint(
        threshold=threshold,
        sensitivity=0.5,
        sensitivity_interval=(0.1, 0.9),
        specificity=0.95,
        specificity_interval=(0.9, 0.99),
        positives=10,
        negatives=90,
        source="out-of-fold",
    )


def test_an_external_set_is_scored_on_the_labels_it_shares_with_the_run(
    folder: Path, run: Path, small: TrainConfig, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    sets = open_external_sets([folder], run, LABELS, 64, tmp_path / "cache")
    assert sets["stanford"].labels == LABELS
    network = Agcnn(small.network)
    predicted = predict_external(Fabric(accelerator="cpu"), network, sets)["stanford"]
    effusion = LABELS.index("Effusion")
    threshold = float(np.median(expit(predicted.logits[0, :, effusion].astype(np.float64))))
    points = [point(threshold) if label in ("Effusion", "Hernia") else None for label in LABELS]
    section = external_scores({"stanford": predicted}, IDENTITY, points)["stanford"]
    assert section["data"] == {"stanford test": {"images": COUNT, "patients": COUNT}}
    auroc = {row["label"]: row for row in section["metrics"] if (row["name"], row["branch"]) == ("auroc", "fusion")}
    truth = np.arange(COUNT) % 2 == 0
    assert auroc["Effusion"]["value"] == pytest.approx(roc_auc_score(truth, predicted.logits[0, :, effusion]))
    assert auroc["Effusion"]["positives"] == COUNT / 2
    assert auroc["Hernia"]["value"] is None  # not labelled there
    assert auroc["macro"]["labels"] == ["Effusion"]
    assert "Fracture" not in auroc  # no label of the run
    (rates,) = section["operating_points_on_test"]
    positive = expit(predicted.logits[0, :, effusion].astype(np.float64)) >= threshold
    assert rates["label"] == "Effusion"
    assert rates["sensitivity"] == pytest.approx(positive[truth].mean())
    assert rates["specificity"] == pytest.approx(1 - positive[~truth].mean())
    lines = list(external_lines({"external": {"stanford": section}}))
    assert lines[0].startswith(f"external, stanford test, {COUNT} images, fusion: macro AUROC 0.")
    assert lines[0].endswith("over 1 findings")


def test_a_set_with_patients_of_the_training_data_is_refused(published: Path, run: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert len(open_external_sets([published], run, LABELS, 64, cache)["tiny"]) == 8
    checkpoint.write_json(run / "plan.json", checkpoint.read_json(run / "plan.json") | {"split": "test"})
    with pytest.raises(TrainingError, match="4 patients of its test list are in the training data"):
        open_external_sets([published], run, LABELS, 64, cache)


def test_sets_that_cannot_be_scored_are_refused(folder: Path, run: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with pytest.raises(TrainingError, match="expected one of the labels Scoliosis"):
        open_external_sets([folder], run, ("Scoliosis",), 64, cache)
    with pytest.raises(TrainingError, match="two folders are named stanford"):
        open_external_sets([folder, folder], run, LABELS, 64, cache)
    assert open_external_sets([], run, LABELS, 64, cache) == {}
