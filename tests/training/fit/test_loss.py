import numpy as np
import pytest
import torch
from torch.nn import functional

from training.fit.config import TrainConfig
from training.fit.loss import Loss, masked_loss, positive_weights, with_no_finding


def test_the_loss_is_over_known_targets() -> None:
    logits = torch.tensor([[0.0, 5.0], [2.0, 0.0]], requires_grad=True)
    lost, known = masked_loss(logits, torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]]))
    assert (lost.item(), known.item()) == (pytest.approx(2 * np.log(2)), 2)
    lost.backward()
    assert logits.grad is not None
    assert logits.grad[0, 1] == logits.grad[1, 0] == 0
    assert logits.grad[0, 0] == pytest.approx(-0.5)


def test_the_loss_without_known_targets_is_zero() -> None:
    logits = torch.tensor([[1e30, -3.0]], requires_grad=True)
    lost, known = masked_loss(logits, torch.full((1, 2), torch.nan))
    lost.backward()
    assert (lost.item(), known.item()) == (0, 0)
    assert torch.equal(logits.grad, torch.zeros(1, 2))  # type: ignore[arg-type]


def test_the_loss_of_known_targets_is_torch_s() -> None:
    torch.manual_seed(0)
    logits, target, weight = torch.randn(5, 3), torch.randint(0, 2, (5, 3)).float(), torch.rand(3) + 1
    expected = functional.binary_cross_entropy_with_logits(logits, target, pos_weight=weight)
    lost, known = masked_loss(logits, target, weight)
    torch.testing.assert_close(lost / known, expected)


def test_positive_weights_are_negatives_per_positive() -> None:
    targets = torch.zeros(100, 3)
    targets[:25, 0] = 1
    targets[0, 1] = 1
    targets[:, 2] = torch.nan
    assert positive_weights(targets).tolist() == pytest.approx([75.5 / 25.5, 20, 1])


def test_no_finding_is_known_if_all_are_known_or_one_is_present() -> None:
    target = torch.zeros(4, 14)
    target[1, 3] = 1
    target[2, 3] = torch.nan
    target[3, 3], target[3, 4] = torch.nan, 1
    extended = with_no_finding(target)
    assert extended.shape == (4, 15)
    torch.testing.assert_close(extended[:, 14], torch.tensor([1, 0, torch.nan, 0]), equal_nan=True)
    torch.testing.assert_close(extended[:, :14], target, equal_nan=True)


def test_the_loss_has_the_outputs_of_the_run() -> None:
    targets = np.zeros((3, 14), np.float32)
    loss = Loss(targets, TrainConfig(no_finding=True, positive_weight=True))
    assert loss.targets[:, 14].tolist() == [1, 1, 1]
    lost, known = loss(torch.zeros(3, 15), torch.from_numpy(targets))
    assert known == 45
    assert lost.item() == pytest.approx(np.log(2) * (42 + 3 * 0.5 / 3.5))  # three positives of No Finding, no negative
    plain, known = Loss(targets, TrainConfig())(torch.zeros(3, 14), torch.from_numpy(targets))
    assert (plain.item(), known) == (pytest.approx(42 * np.log(2)), 42)
