"""Adjudicated labels: a small table, and scores counted by hand or by scikit-learn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logit
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from bench.adjudicated_columns import SHIFTED, realigned
from model.labels import LABELS as CHESTXRAY14
from tests.service.records import operating_point
from tests.training.cases import cases, predicted
from training.data.chestxray14 import records
from training.errors import TrainingError
from training.evaluation.adjudicated import (
    CORRESPONDING,
    Adjudicated,
    agreement,
    assess_adjudicated,
    read_adjudicated,
)
from training.evaluation.bootstrap import resamples
from training.evaluation.scores import UNCALIBRATED, Part, Reading

LABELS = ("Mass", "Nodule", "Pneumothorax")
PNEUMOTHORAX = CHESTXRAY14.index("Pneumothorax")
#                         Mass, Nodule, Pneumothorax
TARGETS = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]], float)
PROBABILITIES = np.array([
    [0.6, 0.1, 0.9],
    [0.1, 0.2, 0.3],
    [0.3, 0.7, 0.2],
    [0.1, 0.1, 0.6],
    [0.2, 0.1, 0.8],
    [0.1, 0.3, 0.1],
])  # fmt: skip
TABLE = """Image Index,Pneumothorax,Nodule or mass,Airspace opacity
0.png,YES,YES,NO
1.png,NO,NO,YES
2.png,NO,YES,YES
3.png,YES,NO,NO
4.png,YES,NO,NO
other.png,YES,NO,NO
"""


def written(folder: Path, text: str = TABLE) -> Path:
    path = folder / "labels.csv"
    path.write_text(text)
    return path


@pytest.fixture
def part() -> Part:
    predictions = replace(predicted(np.stack([logit(PROBABILITIES)] * 3), cases(TARGETS)), labels=LABELS)
    return Part(
        "test", predictions, (Reading("fusion", PROBABILITIES, {"": PROBABILITIES, UNCALIBRATED: PROBABILITIES**2}),)
    )


def test_both_kinds_of_labels_are_scored_on_the_same_images(part: Part, tmp_path: Path) -> None:
    adjudicated = read_adjudicated(written(tmp_path), part.predictions.cases)
    document = assess_adjudicated(part, [None, operating_point(0.5), operating_point(0.5)], adjudicated)
    assert (document["source"], document["images"], document["left_out"]) == ("labels.csv", 5, ["Airspace opacity"])
    rows = {(row["finding"], row["against"]): row for row in document["scores"]}
    expected = {  # truth, scores and alarms of the first five images
        ("Pneumothorax", "adjudicated"): ([1, 0, 0, 1, 1], [0.9, 0.3, 0.2, 0.6, 0.8], [1, 0, 0, 1, 1]),
        ("Pneumothorax", "published"): ([1, 1, 0, 1, 0], [0.9, 0.3, 0.2, 0.6, 0.8], [1, 0, 0, 1, 1]),
        ("Nodule or mass", "adjudicated"): ([1, 0, 1, 0, 0], [0.6, 0.2, 0.7, 0.1, 0.2], [0, 0, 1, 0, 0]),
        ("Nodule or mass", "published"): ([1, 1, 0, 0, 0], [0.6, 0.2, 0.7, 0.1, 0.2], [0, 0, 1, 0, 0]),
    }
    assert rows.keys() == expected.keys()
    for key, (truth, scores, alarms) in expected.items():
        positive, alarmed = np.array(truth) == 1, np.array(alarms) == 1
        assert rows[key]["positives"] == sum(truth)
        assert rows[key]["auroc"]["value"] == pytest.approx(roc_auc_score(truth, scores))
        assert rows[key]["sensitivity"]["value"] == pytest.approx(alarmed[positive].mean())
        assert rows[key]["specificity"]["value"] == pytest.approx((~alarmed[~positive]).mean())
    assert rows["Nodule or mass", "published"]["labels"] == ["Nodule", "Mass"]


def test_agreement_agrees_with_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    truth = generator.random(60) < 0.3
    labels = truth ^ (generator.random(60) < 0.2)
    row = agreement(labels, truth, resamples([str(number) for number in range(60)], 20))
    assert row["kappa"]["value"] == pytest.approx(cohen_kappa_score(truth, labels))
    assert row["sensitivity"]["value"] == pytest.approx(labels[truth].mean())
    assert row["ppv"]["value"] == pytest.approx(truth[labels].mean())
    assert (row["adjudicated"], row["published"]) == (truth.sum(), labels.sum())


def test_a_finding_without_an_operating_point_has_an_auroc_alone(part: Part, tmp_path: Path) -> None:
    adjudicated = read_adjudicated(written(tmp_path), part.predictions.cases)
    for row in assess_adjudicated(part, [None] * 3, adjudicated)["scores"]:
        assert (row["sensitivity"], row["specificity"]) == (None, None)
        assert row["auroc"]["value"] is not None


def test_an_unknown_published_label_leaves_the_image_out_of_both(part: Part) -> None:
    targets = TARGETS.copy()
    targets[2, 2] = np.nan
    unknown = replace(part, predictions=replace(part.predictions, cases=cases(targets)))
    adjudicated = Adjudicated("x", ("Pneumothorax",), {str(number): (float(number < 3),) for number in range(5)})
    document = assess_adjudicated(unknown, [None] * 3, adjudicated)
    assert [(row["images"], row["positives"]) for row in document["scores"]] == [(4, 2), (4, 3)]


def test_names_with_a_comma_stand_for_two_columns(part: Part, tmp_path: Path) -> None:
    """The header as published has them in quotes; the rows have a value for each half."""
    header = 'Image Index,"OriginalImage[Width,Height]","OriginalImagePixelSpacing[x,y]",Pneumothorax\n'
    path = written(tmp_path, header + "0.png,2500,2048,0.1,0.1,YES\n1.jpg,2500,2048,0.1,0.1,NO\n")
    adjudicated = read_adjudicated(path, part.predictions.cases)
    assert adjudicated.values == {"0": (1.0,), "1": (0.0,)}
    assert adjudicated.indices(part.predictions.cases) == [0, 1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a column 'Image Index' and one of Pneumothorax"),
        ("Image Index,Opacity\n0.png,YES\n", "expected a column"),
        ("Pneumothorax\nYES\n", "expected a column"),
        ("Image Index,Pneumothorax\n0.png,0.139\n", "row 2, Pneumothorax: expected YES or NO, got '0.139'"),
        ("Image Index,Pneumothorax\n0.png,\n", "expected YES or NO"),
        ("Image Index,Pneumothorax\n0.png,YES,NO\n", "row 2: expected 2 values"),
        ("Image Index,Pneumothorax\n0.png,YES\n0.png,NO\n", "row 3: an image that was there before"),
        ("Image Index,Pneumothorax\nother.png,YES\n", "none of the 6 images is in it"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(part: Part, tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(TrainingError, match=reason.replace("(", r"\(")):
        read_adjudicated(written(tmp_path, text), part.predictions.cases)
    with pytest.raises(TrainingError, match="cannot be read"):
        read_adjudicated(tmp_path / "none.csv", part.predictions.cases)


def test_a_table_shifted_by_other_columns_is_not_realigned(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    entries = "Image Index,OriginalImagePixelSpacing[x,y]\n0.png,0.139,0.139\n"
    (tmp_path / "set" / "Data_Entry_2017_v2020.csv").write_text(entries)
    head = ",".join(SHIFTED) + "\n"
    (row,) = realigned(written(tmp_path, head + "0.png,0.139,0.139,NO,YES,NO\n"), tmp_path)
    assert {name: row[name] for name in SHIFTED[1:4]} == {
        "Fracture": "NO",
        "Pneumothorax": "YES",
        "Airspace opacity": "NO",
    }
    with pytest.raises(SystemExit, match="not the pixel spacing"):
        realigned(written(tmp_path, head + "0.png,0.168,0.168,NO,YES,NO\n"), tmp_path)


@pytest.mark.realdata
def test_the_published_labels_agree_with_radiologists_as_little_as_the_literature_says(realdata: Path) -> None:
    """Pneumothorax on Google's whole test set: sensitivity 0.50, PPV 0.48, κ 0.43; here 373 images, a fifth of them."""
    table = realdata / "adjudicated" / "google2019.csv"
    every = {case.image: case for folder in ("nih-subset", "nih-128", "nih-64") for case in records(realdata / folder)}
    with pytest.raises(TrainingError, match=r"row 2, Pneumothorax: expected YES or NO, got '0\.139'"):
        read_adjudicated(table, list(every.values()))
    rows = [row for row in realigned(table, realdata) if row["Image Index"] in every]
    assert len(rows) == 373
    truth = np.array([row["Pneumothorax"] == "YES" for row in rows])
    labels = np.array([every[row["Image Index"]].findings[PNEUMOTHORAX] == 1 for row in rows])
    figures = agreement(labels, truth, resamples([every[row["Image Index"]].patient for row in rows], 50))
    assert figures["sensitivity"]["interval"][0] < 0.50 < figures["sensitivity"]["interval"][1]
    assert figures["ppv"]["interval"][0] < 0.48 < figures["ppv"]["interval"][1]
    assert figures["kappa"]["value"] == pytest.approx(0.43, abs=0.1)


def test_every_corresponding_label_is_counted_once() -> None:
    labels = [label for names in CORRESPONDING.values() for label in names]
    assert len(labels) == len(set(labels))
