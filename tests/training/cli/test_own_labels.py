"""A folder with five labels of its own: trained, evaluated and exported."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.training.cases import cases, predicted
from tests.training.conftest import picture
from training.cli.app import export
from training.evaluation import predictions
from training.evaluation.bootstrap import resamples
from training.export.codes import COLUMNS
from training.export.export import ExportReport
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.plan import Plan
from training.fit.run import HELD_OUT, train
from training.report import evaluate
from training.report.evaluate import Evaluation
from training.report.report_files import REPORT

LABELS = ("Effusion", "Fracture", "Lung lesion", "Pneumothorax", "Pacemaker")
CODES = "Fracture,125605004,SCT,Fracture of bone,51299004,SCT,Clavicle"


def own_folder(root: Path) -> Path:
    """Twenty images of as many patients; no patient of train has a pacemaker."""
    (root / "images").mkdir(parents=True)
    rows = [",".join(["image", "patient", "split", *LABELS])]
    for number in range(20):
        split = "train" if number < 12 else "val" if number < 18 else "test"
        findings = [str(int(number % (place + 2) == 0)) for place in range(4)]
        rows.append(",".join([f"{number}.png", f"p{number}", split, *findings, "0" if number < 18 else "1"]))
        Image.fromarray(picture(number)).save(root / "images" / f"{number}.png")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (root / "codes.csv").write_text("\n".join([",".join(COLUMNS), CODES]) + "\n")
    return root


def fold(folder: Path, config: TrainConfig, seed: int) -> Path:
    """A fold with random predictions."""
    generator = np.random.default_rng(seed)
    targets = (generator.random((60, 5)) < 0.4).astype(np.float32)
    random = predicted(generator.normal(0, 1, (3, 60, 5)) + targets, cases(targets, prefix=f"{seed}-"))
    folder.mkdir()
    predictions.save(folder / HELD_OUT, replace(random, labels=LABELS))
    document = {"network": asdict(config.network_for(LABELS)), "labels": LABELS}
    checkpoint.write_json(folder / checkpoint.DOCUMENT, document)
    return folder


def test_five_labels_reach_the_export(tmp_path: Path, small: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("scores", "localisation"):
        monkeypatch.setattr(f"training.evaluation.{module}.resamples", partial(resamples, count=5))
    data, run, cache = own_folder(tmp_path / "own"), tmp_path / "run", tmp_path / "cache"
    config = replace(small, epochs=(1, 1, 1), no_finding=True)
    train(Plan(data, cache), config, run, resume=False)
    network, document = checkpoint.load(run)
    assert network.config.findings == 6  # with No Finding
    assert document["labels"] == list(LABELS)
    assert document["untrained"] == ["Pacemaker"]

    folds = tuple(fold(tmp_path / f"fold{seed}", config, seed) for seed in range(2))
    metrics = evaluate.evaluate(run, Evaluation(folds, data, cache))
    assert {row["label"] for row in metrics["metrics"]} == {*LABELS, "macro"}
    assert "Lung lesion" in (run / REPORT).read_text()

    exported: dict[str, Any] = {}
    report = ExportReport(0.0, 0.0, 0.0, 0)
    monkeypatch.setattr("training.export.export.export", lambda *words: exported.update(words[2]) or report)
    export(run, data, tmp_path / "own.onnx", cache=cache)
    assert (exported["labels"], exported["untrained"]) == (list(LABELS), ["Pacemaker"])
    assert exported["codes"]["Fracture"]["site"]["meaning"] == "Clavicle"
    assert set(exported["statistics"]["probability"]) == set(LABELS)
