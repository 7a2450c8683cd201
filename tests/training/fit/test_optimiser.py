from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from training.fit.config import TrainConfig
from training.fit.optimiser import cosine, optimiser, rate


def test_the_schedule_warms_up_and_comes_down() -> None:
    rates = [cosine(step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert rates[10] == 1
    assert all(later < earlier for earlier, later in pairwise(rates[10:]))
    assert rates[55] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 0.01
    assert cosine(0, 1) == 1


def test_the_paper_s_rate_is_divided_by_ten_after_twenty_epochs() -> None:
    config = TrainConfig(schedule="step", step_epochs=20)
    assert [rate(config, 0, 100, epoch) for epoch in (0, 19, 20, 49)] == [1, 1, 0.1, 0.1]
    assert rate(TrainConfig(), 55, 100, 30) == cosine(55, 100)


def test_sgd_has_the_momentum_of_the_paper() -> None:
    """Three steps by hand: v = 0.9 v + g + decay * w, w = w - rate * v."""
    config = replace(TrainConfig(), optimiser="sgd", weight_decay=0.1)
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    moved = optimiser([weight], config)
    moved.param_groups[0]["lr"] = 0.5
    expected, speed = 1.0, 0.0
    for _ in range(3):
        weight.grad = torch.tensor([0.2])
        moved.step()
        speed = 0.9 * speed + 0.2 + 0.1 * expected
        expected -= 0.5 * speed
    assert weight.item() == pytest.approx(expected)


def test_the_default_is_adamw() -> None:
    created = optimiser([torch.nn.Parameter(torch.zeros(1))], TrainConfig())
    assert isinstance(created, torch.optim.AdamW)
    assert created.param_groups[0]["weight_decay"] == 1e-2
