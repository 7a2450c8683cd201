import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.transforms import DRAWS, Augmentation, augment, draws, grid, placement

NOTHING = Augmentation(0, 0, 0, 0, 0, 0, 0)
SHIFT = Augmentation(0, 0, 0, 0.25, 0, 0, 0)
TURN = Augmentation(90, 0, 0, 0, 0, 0, 0)


def one(*values: float) -> torch.Tensor:
    return torch.tensor([values + (0.0,) * (DRAWS - len(values))])


def test_draws_depend_on_seed_and_index_alone() -> None:
    many = draws((7, 0, 3), np.arange(10))
    torch.testing.assert_close(draws((7, 0, 3), np.array([4, 9])), many[[4, 9]], rtol=0, atol=0)
    assert not torch.equal(many, draws((7, 0, 4), np.arange(10)))
    assert (many.min(), many.max()) >= (-1, 0)
    assert len(torch.unique(many)) == many.numel()


def test_nothing_changes_nothing() -> None:
    canvas = torch.rand(3, 1, 16, 16)
    torch.testing.assert_close(augment(canvas, draws((1,), np.arange(3)), NOTHING), canvas, atol=1e-5, rtol=0)


def test_the_grid_is_torch_s() -> None:
    matrices = placement(draws((1,), np.arange(5)), Augmentation())
    wanted = torch.nn.functional.affine_grid(matrices, [5, 1, 24, 24], align_corners=False)
    torch.testing.assert_close(grid(matrices, 24), wanted, atol=1e-6, rtol=1e-5)


def test_a_shift_of_a_quarter_moves_by_a_quarter_and_repeats_the_edge() -> None:
    canvas = torch.rand(1, 1, 8, 8)
    moved = augment(canvas, one(0, 0, 0, 1, 0), SHIFT)
    torch.testing.assert_close(moved[..., :6], canvas[..., 2:], atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[..., 6:], canvas[..., 7:].expand(1, 1, 8, 2), atol=1e-5, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn() -> None:
    canvas = torch.rand(1, 1, 8, 8)
    turned = augment(canvas, one(1), TURN)
    torch.testing.assert_close(turned, torch.rot90(canvas, 1, (2, 3)), atol=1e-5, rtol=0)


def test_no_mirror_however_far_it_goes() -> None:
    matrices = placement(draws((1,), np.arange(200)), Augmentation())[:, :, :2]
    assert (torch.linalg.det(matrices) > 0.5).all()


def test_exposure_by_hand() -> None:
    canvas = torch.full((1, 1, 4, 4), 0.25)
    brighter = augment(canvas, one(0, 0, 0, 0, 0, 1), Augmentation(0, 0, 0, 0, 0.1, 0, 0))
    steeper = augment(canvas, one(0, 0, 0, 0, 0, 0, 1), Augmentation(0, 0, 0, 0, 0, float(np.log(2)), 0))
    darker = augment(canvas, one(0, 0, 0, 0, 0, 0, 0, 1), Augmentation(0, 0, 0, 0, 0, 0, float(np.log(2))))
    for found, wanted in ((brighter, 0.35), (steeper, 0.0), (darker, 0.0625)):
        torch.testing.assert_close(found, torch.full_like(found, wanted), atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_values_stay_display_values(seed: int) -> None:
    canvas = torch.rand(2, 1, 12, 12, generator=torch.Generator().manual_seed(seed))
    found = augment(canvas, draws((seed,), np.arange(2)), Augmentation())
    assert found.shape == canvas.shape
    assert 0 <= found.min() <= found.max() <= 1
