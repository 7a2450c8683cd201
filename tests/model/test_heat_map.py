from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.heat_map import Statistic, heat_map


def test_it_is_the_largest_absolute_activation_scaled_to_unit_range() -> None:
    features = torch.tensor([[[[1.0, 0.0], [2.0, 3.0]], [[-5.0, 1.0], [0.0, 0.0]]]])  # max |f|: 5 1 / 2 3
    assert torch.allclose(heat_map(features), torch.tensor([[[1.0, 0.0], [0.25, 0.5]]]))


every_statistic = pytest.mark.parametrize("statistic", get_args(Statistic))


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("max", [[1.0, 0.0], [0.5, 0.25]]),  # max |f|: 5 1 / 3 2
        ("l1", [[0.8, 0.0], [0.4, 1.0]]),  # Σ |f|: 5 1 / 3 6
        ("l2", [[1.0, 0.0], [0.5, (12**0.5 - 1) / 4]]),  # √Σ f²: 5 1 / 3 √12
    ],
)
def test_each_statistic_by_hand(statistic: Statistic, expected: list[list[float]]) -> None:
    first, second, third = [[-5.0, 1.0], [0.0, 2.0]], [[0.0, 0.0], [-3.0, -2.0]], [[0.0, 0.0], [0.0, 2.0]]
    features = torch.tensor([[first, second, third]])
    assert torch.allclose(heat_map(features, statistic), torch.tensor([expected]))


@every_statistic
@pytest.mark.parametrize("value", [0.0, 7.0, 1e-20, 1e20])
def test_a_flat_map_is_all_zero(value: float, statistic: Statistic) -> None:
    assert torch.equal(heat_map(torch.full((2, 3, 4, 5), value), statistic), torch.zeros(2, 4, 5))


@every_statistic
@pytest.mark.parametrize("scale", [1e-30, 1e20, 1e35])
def test_neither_large_nor_small_features_leave_float32(scale: float, statistic: Statistic) -> None:
    features = torch.rand(2, 64, 5, 5)
    assert torch.allclose(heat_map(features * scale, statistic), heat_map(features, statistic), atol=1e-5)


@every_statistic
def test_black_features_leave_a_neighbour_in_the_batch_alone(statistic: Statistic) -> None:
    features = torch.rand(2, 8, 3, 3)
    features[0] = 0
    assert torch.equal(heat_map(features, statistic)[1:], heat_map(features[1:], statistic))
    assert not heat_map(features, statistic)[0].any()


def test_a_range_within_rounding_is_flat() -> None:
    features = torch.full((1, 1, 2, 2), 1.0)
    features[0, 0, 0, 0] += 2**-22
    assert not heat_map(features).any()


def test_each_image_is_scaled_on_its_own() -> None:
    features = torch.rand(3, 4, 5, 5) * torch.tensor([1.0, 100.0, 0.01])[:, None, None, None]
    heat = heat_map(features)
    assert torch.equal(heat.amax((1, 2)), torch.ones(3))
    assert torch.equal(heat.amin((1, 2)), torch.zeros(3))
    assert torch.equal(heat[1:2], heat_map(features[1:2]))


@every_statistic
@settings(deadline=None)
@given(exponent=st.integers(-20, 20))
def test_it_does_not_depend_on_the_scale_of_the_features(statistic: Statistic, exponent: int) -> None:
    features = torch.linspace(-3, 5, 48).reshape(1, 3, 4, 4)
    assert torch.equal(heat_map(features * 2.0**exponent, statistic), heat_map(features, statistic))


def test_half_precision_features_make_a_float32_map() -> None:
    assert heat_map(torch.rand(1, 2, 3, 3).bfloat16()).dtype == torch.float32
