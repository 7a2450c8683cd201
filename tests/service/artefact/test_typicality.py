from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import training.export.typicality
from bench import atypical
from service.artefact.file import load
from service.artefact.typicality import FLAG, FLOOR, Known, distance, features, flags, known
from service.dicom.canvas import canvas, grey_values
from service.dicom.radiograph import radiograph
from service.inference.session import Outputs, Session
from service.settings import SHIPPED_ARTEFACT
from tests.artefacts import tiny_artefact, tiny_card, tiny_typicality

EVEN = [[0, 2], [0, 2]]  # mean 1, variance 1
ACROSS = [[0, 0], [2, 2]]  # the same, and uncorrelated with it
HEAT = np.array([[0, 0.25], [0.5, 1]], np.float32)


def maps(*rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


class TestFeatures:
    def test_uncorrelated(self) -> None:
        wanted = [1, 1, log(1 + FLOOR), 0, log(1 + FLOOR), 0, 0.25, 0.5, 1]
        assert features(maps(EVEN, ACROSS), HEAT) == pytest.approx(wanted, abs=1e-12)

    def test_the_same_twice(self) -> None:
        # Eigenvalues 2 and 0, along (1, 1) and (1, -1).
        both, none = log(2 + FLOOR), log(FLOOR)
        matrix = [(both + none) / 2, (both - none) / 2, (both + none) / 2]
        assert features(maps(EVEN, EVEN), HEAT)[2:5] == pytest.approx(matrix, abs=1e-9)

    def test_flat(self) -> None:
        flat = features(np.full((2, 2, 2), 3, np.float32), np.zeros((2, 2), np.float32))
        assert flat == pytest.approx([3, 3, log(FLOOR), 0, log(FLOOR), 0, 0, 0, 0])

    def test_are_those_of_training(self) -> None:
        random = np.random.default_rng(0)
        class_maps, heat_map = random.normal(size=(14, 7, 7)).astype(np.float32), random.random((7, 7), np.float32)
        np.testing.assert_array_equal(
            features(class_maps, heat_map), training.typicality.features(class_maps, heat_map)
        )
        assert FLOOR == training.typicality.FLOOR


class TestDistance:
    typical = Known(np.array([1.0, 1]), np.array([[0.5, 0], [0, 1]]), sqrt(2))  # deviations 2 and 1

    def test_by_hand(self) -> None:
        assert distance(np.array([1.0, 1]), self.typical) == 0
        assert distance(np.array([3.0, 2]), self.typical) == pytest.approx(sqrt(2))
        assert distance(np.array([-3.0, 1]), self.typical) == pytest.approx(2)

    @given(st.integers(0, 1000))
    def test_an_affine_change_of_features_leaves_it(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        cloud, change, shift = (
            random.normal(size=(30, 3)),
            random.normal(size=(3, 3)) + 3 * np.eye(3),
            random.normal(size=3),
        )
        before, after = around(cloud), around(cloud @ change.T + shift)
        assert distance(cloud[0], before) == pytest.approx(distance(change @ cloud[0] + shift, after), rel=1e-6)


def around(cloud: np.ndarray) -> Known:
    """Mean and covariance of [N, D]."""
    return Known(cloud.mean(0), np.linalg.inv(np.linalg.cholesky(np.cov(cloud.T))), 1)


def prediction(class_maps: np.ndarray) -> Outputs:
    half = np.full(len(class_maps), 0.5, np.float32)
    return Outputs(half, half, half, HEAT, class_maps, (0, 0, 1, 1))


def test_flagged_beyond_the_threshold_alone() -> None:
    there = prediction(maps(EVEN, ACROSS))
    described = features(there.class_maps, HEAT)
    at = Known(described - np.eye(len(described))[0] * 2, np.eye(len(described)), 2)  # two away along one axis
    assert flags(there, at) == ()
    assert flags(there, Known(at.mean, at.factor, 1.999)) == (FLAG,)
    assert flags(there, None) == ()


def test_what_the_card_says_is_read(tmp_path: Path) -> None:
    given = tiny_typicality(threshold=3.5)
    given["factor"][2] = [0.5, 0.25, 2.0]
    path = tiny_artefact(tmp_path)
    statistics = tiny_card(path)["statistics"]
    found = known(load(tiny_artefact(tmp_path, statistics=statistics | {"typicality": given})).card)
    assert found is not None
    assert found.threshold == 3.5
    assert found.mean.tolist() == given["mean"]
    assert found.factor[2, :4].tolist() == [0.5, 0.25, 2, 0]
    assert np.array_equal(found.factor, np.tril(found.factor))


def test_an_artefact_without_it_has_no_check(tmp_path: Path) -> None:
    assert known(load(tiny_artefact(tmp_path)).card) is None


@pytest.fixture(scope="module")
def shipped() -> Session:
    return Session(load(SHIPPED_ARTEFACT), "cpu", 1)


@pytest.fixture(scope="module")
def drawn() -> atypical.Kinds:
    """Drawn once: the clouds take seconds."""
    return atypical.drawn()


class TestShipped:
    """The artefact that ships, on real files; docs/studies.md has all kinds."""

    pytestmark = pytest.mark.realdata

    def flagged(self, shipped: Session, values: np.ndarray) -> bool:
        preprocessing = shipped.artefact.card.preprocessing
        [found] = shipped.run(canvas(values, preprocessing.canvas_size, preprocessing.resize)[None])
        return flags(found, known(shipped.artefact.card)) == (FLAG,)

    def test_other_parts_of_the_body_are_flagged(self, shipped: Session, realdata: Path) -> None:
        for kind, (values,) in atypical.other_body_parts(realdata / "dicom").items():
            assert self.flagged(shipped, values), kind

    @pytest.mark.parametrize(
        "kind",
        ["noise, uniform", "noise, Gaussian", "noise, blurred by 8 pixels", "blank", "gradients", "a page of text"],
    )
    def test_what_is_drawn_is_flagged(self, shipped: Session, drawn: atypical.Kinds, kind: str) -> None:
        assert all(self.flagged(shipped, values) for values in drawn[kind][:3])

    @pytest.mark.parametrize(
        "name", ["fuji_cr_chest_pa_mono1_10bit", "philips_cr_chest_pa_mono1_15bit_RG1_JLSN", "udacity_nih_test1"]
    )
    def test_a_scanners_chest_is_not(self, shipped: Session, realdata: Path, name: str) -> None:
        assert not self.flagged(shipped, radiograph((realdata / "dicom" / f"{name}.dcm").read_bytes()).values)

    def test_false_alarms_are_as_the_card_says(self, shipped: Session, realdata: Path) -> None:
        typicality = shipped.artefact.card.statistics.typicality
        assert typicality is not None
        stated = next(row for row in typicality.false_alarms if row.source == "nih-subset test")
        names = (realdata / "nih-subset" / "test_list.txt").read_text().split()
        images = [grey_values(realdata / "nih-subset" / "images" / f"{Path(name).stem}.jpg") for name in names]
        flagged = sum(self.flagged(shipped, values) for values in images)
        assert (flagged, len(images)) == (round(stated.value * stated.images), stated.images)
