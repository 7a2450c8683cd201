from math import log, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import atypical_images
from service.artefact.file import load
from service.artefact.typicality import (
    FLAG,
    FLOOR,
    Gaussian,
    TypicalImages,
    distance,
    features,
    flags,
    gaussian,
    typical_images,
)
from service.dicom.canvas import canvas, grey_values
from service.dicom.radiograph import radiograph
from service.inference.session import Session
from service.settings import SHIPPED_ARTEFACT
from tests.artefacts import tiny_artefact, tiny_card, tiny_typicality

EVEN = [[0, 2], [0, 2]]  # mean 1, variance 1
ACROSS = [[0, 0], [2, 2]]  # the same, and uncorrelated with it
HEAT = np.array([[0, 0.25], [0.5, 1]], np.float32)


def maps(*rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, np.float32)


class TestFeatures:
    def test_uncorrelated_class_maps(self) -> None:
        expected = [1, 1, log(1 + FLOOR), 0, log(1 + FLOOR), 0, 0.25, 0.5, 1]
        assert features(maps(EVEN, ACROSS), HEAT) == pytest.approx(expected, abs=1e-12)

    def test_two_equal_class_maps(self) -> None:
        # Eigenvalues 2 and 0, along (1, 1) and (1, -1).
        both, none = log(2 + FLOOR), log(FLOOR)
        matrix = [(both + none) / 2, (both - none) / 2, (both + none) / 2]
        assert features(maps(EVEN, EVEN), HEAT)[2:5] == pytest.approx(matrix, abs=1e-9)

    def test_flat_class_maps(self) -> None:
        flat = features(np.full((2, 2, 2), 3, np.float32), np.zeros((2, 2), np.float32))
        assert flat == pytest.approx([3, 3, log(FLOOR), 0, log(FLOOR), 0, 0, 0, 0])


class TestDistance:
    gaussian = gaussian([1, 1], [[0.5], [0, 1]])  # standard deviations 2 and 1

    def test_by_hand(self) -> None:
        assert distance(np.array([1.0, 1]), self.gaussian) == 0
        assert distance(np.array([3.0, 2]), self.gaussian) == pytest.approx(sqrt(2))
        assert distance(np.array([-3.0, 1]), self.gaussian) == pytest.approx(2)

    @given(st.integers(0, 1000))
    def test_an_affine_change_of_the_features_does_not_change_it(self, seed: int) -> None:
        random = np.random.default_rng(seed)
        cloud, change, shift = (
            random.normal(size=(30, 3)),
            random.normal(size=(3, 3)) + 3 * np.eye(3),
            random.normal(size=3),
        )
        before, after = around(cloud), around(cloud @ change.T + shift)
        assert distance(cloud[0], before) == pytest.approx(distance(change @ cloud[0] + shift, after), rel=1e-6)


def around(cloud: np.ndarray) -> Gaussian:
    """Mean and covariance of [N, D]."""
    return Gaussian(cloud.mean(0), np.linalg.inv(np.linalg.cholesky(np.cov(cloud.T))))


def test_only_an_image_beyond_the_threshold_is_flagged() -> None:
    class_maps = maps(EVEN, ACROSS)
    described = features(class_maps, HEAT)
    unit = np.eye(len(described))
    nearby = Gaussian(described - 2 * unit[0], unit)  # at distance 2
    assert flags(class_maps, HEAT, TypicalImages(nearby, 2)) == ()
    assert flags(class_maps, HEAT, TypicalImages(nearby, 1.999)) == (FLAG,)
    assert flags(class_maps, HEAT, None) == ()


def test_typical_images_are_read_from_the_card(tmp_path: Path) -> None:
    entry = tiny_typicality(threshold=3.5)
    entry["factor"][2] = [0.5, 0.25, 2.0]
    path = tiny_artefact(tmp_path)
    statistics = tiny_card(path)["statistics"]
    typical = typical_images(load(tiny_artefact(tmp_path, statistics=statistics | {"typicality": entry})).card)
    assert typical is not None
    assert typical.threshold == 3.5
    assert typical.gaussian.mean.tolist() == entry["mean"]
    assert typical.gaussian.factor[2, :4].tolist() == [0.5, 0.25, 2, 0]
    assert np.array_equal(typical.gaussian.factor, np.tril(typical.gaussian.factor))


def test_an_artefact_without_typicality_has_no_check(tmp_path: Path) -> None:
    assert typical_images(load(tiny_artefact(tmp_path)).card) is None


@pytest.fixture(scope="module")
def shipped() -> Session:
    return Session(load(SHIPPED_ARTEFACT), "cpu", 1)


@pytest.fixture(scope="module")
def drawings() -> atypical_images.Kinds:
    """Drawn once, as the clouds take seconds."""
    return atypical_images.drawings()


class TestShipped:
    """The artefact that ships, on real files; docs/studies.md has a table of all kinds."""

    pytestmark = pytest.mark.realdata

    def flagged(self, shipped: Session, values: np.ndarray) -> bool:
        preprocessing = shipped.artefact.card.preprocessing
        [outputs] = shipped.run(canvas(values, preprocessing.canvas_size, preprocessing.resize)[None])
        return flags(outputs.class_maps, outputs.heat_map, typical_images(shipped.artefact.card)) == (FLAG,)

    def test_other_parts_of_the_body_are_flagged(self, shipped: Session, realdata: Path) -> None:
        for kind, (values,) in atypical_images.other_body_parts(realdata / "dicom").items():
            assert self.flagged(shipped, values), kind

    @pytest.mark.parametrize(
        "kind",
        ["noise, uniform", "noise, Gaussian", "noise, blurred by 8 pixels", "blank", "gradients", "a page of text"],
    )
    def test_drawings_are_flagged(self, shipped: Session, drawings: atypical_images.Kinds, kind: str) -> None:
        assert all(self.flagged(shipped, values) for values in drawings[kind][:3])

    @pytest.mark.parametrize(
        "name", ["fuji_cr_chest_pa_mono1_10bit", "philips_cr_chest_pa_mono1_15bit_RG1_JLSN", "udacity_nih_test1"]
    )
    def test_a_chest_from_a_scanner_is_not_flagged(self, shipped: Session, realdata: Path, name: str) -> None:
        assert not self.flagged(shipped, radiograph((realdata / "dicom" / f"{name}.dcm").read_bytes()).values)

    def test_the_card_states_the_rate_of_false_alarms(self, shipped: Session, realdata: Path) -> None:
        typicality = shipped.artefact.card.statistics.typicality
        assert typicality is not None
        stated = next(row for row in typicality.false_alarms if row.source == "nih-subset test")
        names = (realdata / "nih-subset" / "test_list.txt").read_text().split()
        images = [grey_values(realdata / "nih-subset" / "images" / f"{Path(name).stem}.jpg") for name in names]
        flagged = sum(self.flagged(shipped, values) for values in images)
        assert (flagged, len(images)) == (round(stated.value * stated.images), stated.images)
