import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.covariance import LedoitWolf

from service.artefact.file import load
from tests.artefacts import smooth_canvases, tiny_artefact, tiny_card
from tests.training.cli.test_app import agcnn
from training.errors import TrainingError
from training.export import typicality


@pytest.fixture
def cloud() -> np.ndarray:
    """[200, 4], correlated."""
    random = np.random.default_rng(5)
    return random.normal(size=(200, 4)) @ random.normal(size=(4, 4)) + 3


def test_distances_are_those_of_the_shrunken_gaussian(cloud: np.ndarray) -> None:
    entry = typicality.fit_gaussian(cloud)
    assert [len(row) for row in entry["factor"]] == [1, 2, 3, 4]
    expected = np.sqrt(LedoitWolf().fit(cloud).mahalanobis(cloud))
    np.testing.assert_allclose(typicality.distances(cloud, entry), expected, rtol=1e-4)


def test_98_percent_of_new_images_are_below_the_threshold(cloud: np.ndarray) -> None:
    patients = np.array([f"p{number // 2}" for number in range(200)])
    entry = typicality.fit([typicality.Sample(cloud, patients)])
    more = np.random.default_rng(6).normal(size=(20_000, 4))
    more = more @ np.linalg.cholesky(np.cov(cloud.T)).T + cloud.mean(0)
    assert (typicality.distances(more, entry) <= entry["threshold"]).mean() == pytest.approx(0.98, abs=0.015)


def test_folds_do_not_divide_a_patient() -> None:
    # Five patients, each an outlier in its own direction unless its other images are in the fit.
    images = np.repeat(np.eye(5) * 100, 20, axis=0) + np.random.default_rng(1).normal(size=(100, 5))
    patients = np.repeat(list("abcde"), 20)
    alone = typicality.fit([typicality.Sample(images, patients)])["threshold"]
    mixed = typicality.fit([typicality.Sample(images, np.array([f"{number}" for number in range(100)]))])["threshold"]
    assert alone > 3 * mixed


def test_fewer_than_five_patients_are_refused(cloud: np.ndarray) -> None:
    with pytest.raises(TrainingError, match="at least 5 patients, got 2"):
        typicality.fit([typicality.Sample(cloud, np.array(["a", "b"] * 100))])


def test_a_small_data_set_beside_a_large_one_is_not_flagged_more_often() -> None:
    random = np.random.default_rng(3)
    large = typicality.Sample(random.normal(size=(2000, 3)), np.array([f"l{number}" for number in range(2000)]))
    small = typicality.Sample(random.normal(size=(100, 3)) + 4, np.array([f"s{number}" for number in range(100)]))
    entry = typicality.fit([large, small])
    assert (typicality.distances(small.features, entry) > entry["threshold"]).mean() <= 0.03
    together = np.concatenate([large.features, small.features])
    pooled = np.quantile(typicality.distances(together, entry), 0.98)
    assert (typicality.distances(small.features, entry) > pooled).mean() > 0.2


def test_false_alarms_overall_and_by_collection() -> None:
    flagged = np.array([True, False, False, False])
    rows = typicality.false_alarms("here test", flagged, np.array(["A", "A", "B", "B"]))
    assert [(row["source"], row["images"], row["value"]) for row in rows] == [
        ("here test", 4, 0.25),
        ("here test, collection A", 2, 0.5),
        ("here test, collection B", 2, 0.0),
    ]
    assert rows[2]["interval"] == pytest.approx([0, 1 - 0.025**0.5])  # none of two: (1 - p)² = 0.025
    assert len(typicality.false_alarms("here test", flagged, np.array([""] * 4))) == 1


def test_the_command_changes_only_the_card(published: Path, tmp_path: Path) -> None:
    artefact = tiny_artefact(tmp_path)
    before, card = onnx.load(artefact), tiny_card(artefact)
    copied = shutil.copytree(published, tmp_path / "copied")
    words = ["typical", "--artefact", artefact, "--data", published, "--data", copied, "--also", published]
    words += ["--cache", tmp_path / "cache"]
    answer = agcnn(*words)
    assert answer.exit_code == 0, answer.output
    assert "tiny train+val" in answer.output
    assert onnx.load(artefact).graph == before.graph
    written = tiny_card(artefact)
    entry = written["statistics"].pop("typicality")
    assert written == card
    assert (entry["images"], entry["source"]) == (64, "tiny train+val + copied train+val")
    assert [row["images"] for row in entry["false_alarms"]][:1] == [8]
    assert [row["source"] for row in entry["false_alarms"]][::3] == ["tiny test", "copied test", "tiny test"]
    served = load(artefact).card.statistics.typicality
    assert served is not None
    assert json.loads(served.model_dump_json()) == entry

    few = agcnn(*words, "--split", "val")  # the validation lists have four patients, the same in both folders
    assert (few.exit_code, "expected images of at least 5 patients, got 4" in few.stderr) == (2, True), few.output

    again = agcnn(*words)  # replaces the entry
    assert (again.exit_code, tiny_card(artefact)["statistics"]["typicality"]) == (0, entry)


def test_features_of_a_batch_are_those_of_each_image(tmp_path: Path) -> None:
    extract = typicality.feature_extractor(typicality.read_artefact(tiny_artefact(tmp_path))[0])
    images = np.stack(smooth_canvases(3))
    together, alone = extract(images), np.concatenate([extract(image[None]) for image in images])
    assert together.shape == (3, 128)
    np.testing.assert_allclose(together, alone, atol=1e-3)


def test_a_file_that_is_not_an_artefact_gives_one_line(published: Path, tmp_path: Path) -> None:
    for data in (b"no ONNX", onnx.ModelProto().SerializeToString()):
        path = tmp_path / "x.onnx"
        path.write_bytes(data)
        answer = agcnn("typical", "--artefact", path, "--data", published)
        assert (answer.exit_code, "x.onnx: not a readable artefact" in answer.stderr) == (2, True), answer.output
    assert agcnn("typical", "--artefact", tmp_path / "none.onnx", "--data", published).exit_code == 2
