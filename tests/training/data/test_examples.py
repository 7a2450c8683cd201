import numpy as np
import pytest

from training.data.examples import Examples, count_examples, missing_lines, require_examples
from training.errors import TrainingError

NAN = np.nan
LABELS = ("Mass", "Nodule")


def test_examples_are_counted_by_label() -> None:
    targets = np.array([[1, NAN], [0, NAN], [0.25, 0]], np.float32)
    assert count_examples(targets, LABELS) == {"Mass": Examples(1.25, 1.75), "Nodule": Examples(0, 1)}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[NAN, NAN], [NAN, NAN]], "tiny: no label is known for any image"),
        ([[0, NAN], [0, 0]], "tiny: no image has a finding"),
        ([[1, 0], [1, 0]], "tiny: no finding is present in one image and absent"),
    ],
)
def test_images_that_teach_nothing_are_refused(rows: list[list[float]], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        require_examples(count_examples(np.array(rows, np.float32), LABELS), "tiny")


@pytest.mark.parametrize("rows", [[[1, NAN], [0, NAN]], [[0.5, NAN], [0.5, NAN]]])
def test_one_label_to_learn_is_enough(rows: list[list[float]]) -> None:
    examples = count_examples(np.array(rows, np.float32), LABELS)
    require_examples(examples, "tiny")
    assert list(missing_lines(examples, "tiny")) == [
        "warning: tiny: unknown in every image, so it is not trained: Nodule"
    ]


def test_a_label_that_no_image_has_is_named() -> None:
    [line] = missing_lines(count_examples(np.array([[1, 0], [0, 0]], np.float32), LABELS), "tiny")
    assert line == "warning: tiny: present in no image, so it cannot be learned: Nodule"
