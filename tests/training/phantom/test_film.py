import numpy as np
import pytest

from model.labels import LABELS
from training.phantom import anatomy, findings
from training.phantom.film import draw_labels, patient_number, phantom
from training.phantom.onset import Onset

SIZE = 192
SEED = 3


def mask(boxes, size):
    inside = np.zeros((size, size), bool)
    for x0, y0, x1, y1 in boxes:
        inside[int(y0 * size) : int(np.ceil(y1 * size)), int(x0 * size) : int(np.ceil(x1 * size))] = True
    return inside


@pytest.fixture(scope="module")
def clear():
    return {index: phantom(SEED, index, SIZE, ()) for index in (1, 5, 13)}


class TestPhantom:
    def test_the_same_arguments_give_the_same_picture(self):
        first, second = phantom(SEED, 2, 128), phantom(SEED, 2, 128)
        np.testing.assert_array_equal(first.values, second.values)
        assert first.boxes == second.boxes

    def test_another_seed_or_index_gives_another(self):
        pictures = [phantom(seed, index, 96, ()).values for seed, index in ((0, 0), (0, 1), (1, 0))]
        assert np.abs(pictures[0] - pictures[1]).mean() > 0.01
        assert np.abs(pictures[0] - pictures[2]).mean() > 0.01

    def test_values(self, clear):
        for picture in clear.values():
            assert picture.values.dtype == np.float32
            assert picture.values.shape == (SIZE, SIZE)
            assert 0 <= picture.values.min() < 0.05
            assert 0.8 < picture.values.max() <= 1
            assert np.isfinite(picture.values).all()

    def test_lungs_are_darker_than_what_is_between_and_below(self, clear):
        for picture in clear.values():
            at = {name: _mean(picture.values, *where) for name, where in PLACES.items()}
            assert max(at["right lung"], at["left lung"]) + 0.15 < min(at["mediastinum"], at["abdomen"])

    def test_no_finding_has_no_box(self, clear):
        assert clear[1].boxes == {}
        assert not clear[1].target.any()

    def test_all_findings_at_once(self):
        picture = phantom(SEED, 4, 128, LABELS)
        assert picture.target.tolist() == [1.0] * 14
        assert set(picture.boxes) == set(LABELS)

    def test_an_oblong_detector(self):
        assert phantom(SEED, 0, (160, 128), ()).values.shape == (160, 128)

    def test_sizes_show_the_same_scene(self):
        large, small = phantom(SEED, 1, 448, ("Mass",)), phantom(SEED, 1, 224, ("Mass",))
        shrunk = large.values.reshape(224, 2, 224, 2).mean((1, 3))
        assert np.corrcoef(shrunk.ravel(), small.values.ravel())[0, 1] > 0.99
        np.testing.assert_allclose(large.boxes["Mass"], small.boxes["Mass"], atol=0.02)

    def test_an_unknown_label_is_refused(self):
        with pytest.raises(KeyError, match="Cold"):
            phantom(SEED, 0, 64, ("Cold",))

    def test_drawn_findings_are_those_of_draw_labels(self):
        for index in range(3):
            picture = phantom(SEED, index, 64)
            assert tuple(label for label, there in zip(LABELS, picture.target, strict=True) if there) == draw_labels(
                SEED, index
            )

    def test_images_of_a_patient_share_the_anatomy(self):
        one, two = phantom(SEED, 2, 160, ()), phantom(SEED, 3, 160, ())
        assert one.patient == two.patient
        assert (one.sex, one.age) == (two.sex, two.age)
        assert np.abs(one.values - two.values).mean() > 0.01  # another pose, exposure and breath


PLACES = {
    "right lung": (0.30, 0.40),
    "left lung": (0.70, 0.36),
    "mediastinum": (0.50, 0.52),
    "abdomen": (0.38, 0.88),
}


def _mean(values, x, y, reach=0.03):
    n = len(values)
    return values[int((y - reach) * n) : int((y + reach) * n), int((x - reach) * n) : int((x + reach) * n)].mean()


@pytest.mark.parametrize("label", LABELS)
def test_a_finding_changes_the_picture_in_its_boxes(label, clear):
    """With and without the finding, everything else and the noise being equal."""
    for index, without in clear.items():
        picture = phantom(SEED, index, SIZE, (label,))
        assert picture.target[LABELS.index(label)] == picture.target.sum() == 1
        change = np.abs(picture.values - without.values)
        inside = mask(picture.boxes[label], SIZE)
        assert change[inside].mean() > 0.006
        assert change[inside].mean() > 3 * change[~inside].mean()  # the window follows the whole picture
        assert inside[change > 0.5 * change.max()].mean() > 0.9


@pytest.mark.parametrize("label", LABELS)
def test_boxes_are_valid(label):
    for index in range(4):
        for x0, y0, x1, y1 in phantom(SEED, index, 96, (label,)).boxes[label]:
            assert 0 <= x0 < x1 <= 1
            assert 0 <= y0 < y1 <= 1


def test_patients_have_one_image_or_two():
    assert [patient_number(index) for index in range(9)] == [0, 1, 2, 2, 3, 4, 5, 5, 6]


def test_prevalence_is_as_stated():
    drawn = [draw_labels(SEED, index) for index in range(3000)]
    for label, finding in findings.FINDINGS.items():
        share = np.mean([label in labels for labels in drawn])
        assert share == pytest.approx(finding.prevalence, abs=4 * np.sqrt(finding.prevalence / 3000))
    assert 0.28 < np.mean([not labels for labels in drawn]) < 0.42


@pytest.mark.parametrize("among", [("Nodule",), ("Mass", "Nodule", "Hernia")])
def test_fewer_findings_are_drawn_more_often(among):
    """A third of the images show none, and the more common of two findings is still the more common one."""
    drawn = [draw_labels(SEED, index, among) for index in range(3000)]
    expected = np.prod([1 - finding.prevalence for finding in findings.FINDINGS.values()])
    assert np.mean([not labels for labels in drawn]) == pytest.approx(expected, abs=0.035)
    counts = {label: sum(label in labels for labels in drawn) for label in among}
    assert counts["Nodule"] == max(counts.values())
    assert set().union(*drawn) == set(among)


def test_small_nodules_are_small_and_change_nothing_else():
    for index in range(3):
        large, small = (phantom(SEED, index, 448, ("Nodule",), share) for share in (0.0, 1.0))
        widths = [np.ptp(np.array(picture.boxes["Nodule"][0]).reshape(2, 2), axis=0) for picture in (large, small)]
        assert (widths[1] < widths[0]).all()
        assert 448 * large.pitch * widths[1].max() < 20  # mm, magnified, of 13 at most
        away = ~mask(large.boxes["Nodule"], 448)
        assert np.abs(large.values - small.values)[away].mean() < 0.01


def test_every_label_has_its_finding():
    assert tuple(findings.FINDINGS) == LABELS


class TestHeart:
    def chests(self):
        for number in range(30):
            rng = np.random.default_rng(number)
            yield anatomy.chest(anatomy.patient(number, rng), 0.8, rng)

    def test_a_healthy_heart_is_less_than_half_as_wide_as_the_chest(self):
        ratios = [chest.cardiothoracic_ratio for chest in self.chests()]
        assert min(ratios) > 0.36
        assert max(ratios) < 0.5

    @pytest.mark.parametrize("grade", [0.0, 1.0])
    def test_an_enlarged_heart_is_more_than_half_as_wide_as_the_chest(self, grade):
        for chest in self.chests():
            large = findings.remodel(chest, {"Cardiomegaly": Onset(0, grade, 1)})
            assert large.cardiothoracic_ratio == pytest.approx(0.53 + 0.13 * grade, abs=0.02)
