from dataclasses import replace
from math import nan

import numpy as np
import pytest

from training.data.cache import Canvases
from training.data.sample import Case
from training.data.union import arrays, join, qualify, union
from training.errors import TrainingError


def images(name: str, labels: tuple[str, ...], *findings: tuple[float, ...], pixels: np.ndarray) -> Canvases:
    cases = tuple(Case(f"{place}.png", "1", values) for place, values in enumerate(findings))
    return Canvases(name, pixels, np.arange(len(findings)), cases, labels=labels)


def test_chestxray14_s_labels_come_first_and_the_others_as_they_appear() -> None:
    sets = [("Fracture", "Edema"), ("Mass", "Lung Opacity", "Fracture"), ("Atelectasis", "Device")]
    assert union(sets) == ("Atelectasis", "Mass", "Edema", "Fracture", "Lung Opacity", "Device")
    assert union([("Edema",)]) == ("Edema",)


def test_joined_images_keep_their_order_and_share_pixels() -> None:
    pixels = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    one = images("one", ("Mass",), (1.0,), (0.0,), pixels=pixels)
    two = replace(images("two", ("Mass",), (nan,), pixels=pixels), rows=np.array([4]))
    both = join([qualify(one, "one", "NIH"), qualify(two, "two", "NIH")])
    assert both.name == "one + two"
    assert [case.image for case in both.cases] == ["one/0.png", "one/1.png", "two/0.png"]
    assert set(both.patients) == {"NIH/1"}
    assert both.collections == ("one", "one", "two")
    np.testing.assert_array_equal(both.read(np.array([2]))[0, 0] * 255, pixels[4])
    assert all(np.shares_memory(array, pixels) for array in arrays(both))


def test_what_cannot_be_joined_is_an_error() -> None:
    pixels = np.zeros((1, 4, 4), np.uint8)
    one = images("one", ("Mass",), (1.0,), pixels=pixels)
    with pytest.raises(TrainingError, match="labels or canvas sizes differ"):
        join([one, replace(one, labels=("Edema",))])
    with pytest.raises(TrainingError, match="labels or canvas sizes differ"):
        join([one, one.reduced(2)])


def test_images_of_several_files_are_read_in_any_order() -> None:
    arrays = [np.random.default_rng(number).integers(0, 256, (number + 2, 4, 4), np.uint8) for number in range(3)]
    parts = [
        replace(images(str(number), ("Mass",), *[(0.0,)] * len(array), pixels=array), rows=np.arange(len(array))[::-1])
        for number, array in enumerate(arrays)
    ]
    both = join([join(parts[:2]), parts[2]])
    expected = np.concatenate([array[::-1] for array in arrays])
    order = np.array([8, 0, 3, 3, 5, 1])

    np.testing.assert_array_equal(both.stored(order)[:, 0], expected[order])
    np.testing.assert_allclose(both.means(), expected.mean((1, 2)) / 255)
    np.testing.assert_array_equal(both.subset(order).stored(np.array([2]))[0, 0], expected[3])
    assert both.size == 4
