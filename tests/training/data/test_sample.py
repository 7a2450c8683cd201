import numpy as np
import pytest

from tests.training.cases import cases
from training.data.sample import parse_age, targets


@pytest.mark.parametrize(
    ("published", "age"),
    [
        ("58", 58),
        ("58.0", 58),
        ("058Y", 58),
        ("018M", 1.5),
        ("004W", 28 / 365.25),
        ("414", None),
        ("", None),
        ("-3", None),
        ("x", None),
        (".", None),
        ("1.2.3", None),
    ],
)
def test_ages(published: str, age: float | None) -> None:
    assert parse_age(published) == (None if age is None else pytest.approx(age))


def test_targets_keep_what_is_not_known() -> None:
    values = np.array([[0, 1, np.nan], [1, np.nan, 0]])
    np.testing.assert_array_equal(targets(cases(values)), values.astype(np.float32))
