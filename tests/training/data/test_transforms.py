"""Oracles: scipy's affine transform, whole pixels, quarter turns, the definitions by hand."""

from dataclasses import replace
from math import exp, log, pi

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from training.data import transforms
from training.data.transforms import Augmentation, Change, collect, draw_change
from training.errors import TrainingError

NOTHING = Augmentation(0, 0, 0, 0, 0, 0, 0)
MOST = Augmentation(crop=0.3, flip=True)


def image(side: int = 16, seed: int = 0) -> torch.Tensor:
    """[1, side, side]"""
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(seed))


def augment(canvas: torch.Tensor, change: Change) -> torch.Tensor:
    """One canvas [1, S, S] as a batch."""
    return transforms.augment(canvas[None], collect([change]))[0]


def changes(most: Augmentation, count: int = 300) -> list[Change]:
    return [draw_change((7, 0, 3), place, most) for place in range(count)]


def test_draws_depend_on_seed_and_place_alone() -> None:
    many = changes(MOST, 10)
    np.random.default_rng(1).random()
    assert draw_change((7, 0, 3), 4, MOST) == many[4]
    assert draw_change((7, 0, 4), 4, MOST) != many[4]
    assert len(set(many)) == 10


def test_a_new_kind_leaves_the_others_as_they_are_drawn() -> None:
    """This makes recipes comparable that differ in one kind of augmentation."""
    plain, cropped = draw_change((1,), 5, Augmentation()), draw_change((1,), 5, MOST)
    assert (plain.angle, plain.contrast, plain.gamma) == (cropped.angle, cropped.contrast, cropped.gamma)
    blurred = draw_change((1,), 5, Augmentation(blur=1))
    assert replace(blurred, coarseness=1) == plain
    assert 1 < blurred.coarseness < 2


def test_nothing_is_drawn_where_nothing_may_change() -> None:
    for done in changes(NOTHING, 20):
        assert np.allclose([*done.scale, *done.shift, done.contrast, done.gamma], [1, 1, 0, 0, 1, 1])
        assert (done.angle, done.brightness) == (0, 0)


def test_nothing_changes_nothing() -> None:
    canvas = image()
    torch.testing.assert_close(augment(canvas, Change()), canvas, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("down", "along"), [(3, 0), (0, 3), (-2, 5)])
def test_whole_pixels_move_and_the_edge_is_repeated(down: int, along: int) -> None:
    canvas = image()
    rows, columns = (np.clip(np.arange(16) + step, 0, 15) for step in (down, along))
    moved = augment(canvas, Change(shift=(down / 16, along / 16)))
    torch.testing.assert_close(moved, canvas[:, rows][:, :, columns], atol=1e-5, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns(turns: int) -> None:
    canvas = image()
    turned = augment(canvas, Change(angle=-turns * pi / 2))
    torch.testing.assert_close(turned, torch.rot90(canvas, turns, (1, 2)), atol=1e-5, rtol=0)


def test_a_mirror_is_a_mirror() -> None:
    canvas = image()
    torch.testing.assert_close(augment(canvas, Change(scale=(1, -1))), canvas.flip(2), atol=1e-6, rtol=0)


def test_a_quarter_of_the_canvas_enlarged_is_that_quarter() -> None:
    canvas = image().repeat_interleave(4, 1).repeat_interleave(4, 2)  # 64; squares of 4 pixels
    part = augment(canvas, Change(scale=(0.5, 0.5), shift=(-0.25, 0.25)))
    expected = canvas[:, :32, 32:].repeat_interleave(2, 1).repeat_interleave(2, 2)
    inner = (slice(None), slice(3, None, 8), slice(3, None, 8))  # away from the squares' edges
    torch.testing.assert_close(part[inner], expected[inner], atol=1e-5, rtol=0)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_moves_as_scipy_does(place: int) -> None:
    done = draw_change((3,), place, Augmentation(brightness=0, contrast=0, gamma=0, crop=0.4, flip=True))
    canvas, middle = image(24, place), 11.5
    matrix = np.array([[np.cos(done.angle), -np.sin(done.angle)], [np.sin(done.angle), np.cos(done.angle)]])
    offset = middle + matrix @ (24 * np.array(done.shift)) - matrix @ np.diag(done.scale) @ np.full(2, middle)
    expected = ndimage.affine_transform(
        canvas[0].numpy(), matrix @ np.diag(done.scale), offset, order=1, mode="nearest"
    )
    np.testing.assert_allclose(augment(canvas, done)[0], expected, atol=1e-4)


def test_exposure_by_hand() -> None:
    canvas = image()
    brighter = augment(canvas, Change(brightness=0.1))
    torch.testing.assert_close(brighter, (canvas + 0.1).clamp(0, 1), atol=1e-5, rtol=0)
    steeper = augment(canvas, Change(contrast=2))
    torch.testing.assert_close(steeper, (2 * (canvas - 0.5) + 0.5).clamp(0, 1), atol=1e-5, rtol=0)
    darker = augment(canvas, Change(gamma=2))
    torch.testing.assert_close(darker, canvas**2, atol=1e-5, rtol=0)


def test_a_flat_canvas_stays_flat() -> None:
    flat = augment(torch.full((1, 8, 8), 0.25), Change(gamma=2, angle=0.3, coarseness=1.5))
    torch.testing.assert_close(flat, torch.full((1, 8, 8), 0.25**2))


def test_images_of_a_batch_do_not_depend_on_each_other() -> None:
    canvases = torch.stack([image(24, number) for number in range(7)])
    changes = [draw_change((5,), place, Augmentation(crop=0.4, flip=True, blur=0.5)) for place in range(7)]
    together = transforms.augment(canvases, collect(changes))
    for canvas, change, result in zip(canvases, changes, together, strict=True):
        torch.testing.assert_close(augment(canvas, change), result, rtol=0, atol=1e-6)


def test_coarse_images_lack_fine_detail_and_keep_the_rest() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(32).expand(1, 64, 64).contiguous()  # the finest detail there is
    coarse = augment(stripes, Change(coarseness=2))
    assert coarse[0, 8:-8, 8:-8].std() < 0.02
    ramp = torch.linspace(0, 1, 64).expand(1, 64, 64).contiguous()
    torch.testing.assert_close(augment(ramp, Change(coarseness=1.7))[0, :, 4:-4], ramp[0, :, 4:-4], atol=0.01, rtol=0)
    shrunk = Image.fromarray(image(48, 3)[0].numpy()).resize((32, 32), Image.Resampling.BILINEAR)
    expected = np.asarray(shrunk.resize((48, 48), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(augment(image(48, 3), Change(coarseness=1.5))[0], expected, atol=1e-5)


@pytest.mark.parametrize("blur", [0.0, 0.3, 1.0])
def test_blur_is_a_probability(blur: float) -> None:
    coarse = [done.coarseness for done in changes(Augmentation(blur=blur))]
    assert abs(sum(factor > 1 for factor in coarse) / 300 - blur) < 0.1
    assert max(coarse) <= 2
    with pytest.raises(TrainingError, match="blur must be between 0 and 1"):
        Augmentation(blur=blur + 1.5)


def test_departures_stay_within_their_limits_and_use_them() -> None:
    many, most = changes(Augmentation()), Augmentation()
    angles = np.degrees([done.angle for done in many])
    assert 0.9 * most.rotation < angles.max() <= most.rotation
    assert -most.rotation <= angles.min() < -0.9 * most.rotation
    sides = np.array([done.scale for done in many])
    assert sides.min() >= (1 - most.zoom) * (1 - most.stretch)
    assert sides.max() <= (1 + most.zoom) * (1 + most.stretch)
    assert np.abs([done.shift for done in many]).max() <= most.shift
    assert max(abs(log(done.gamma)) for done in many) <= most.gamma
    assert max(done.contrast for done in many) <= exp(most.contrast)
    assert max(abs(done.brightness) for done in many) <= most.brightness


@pytest.mark.parametrize("least", [0.08, 0.5, 0.9])
def test_a_crop_keeps_its_share_its_form_and_lies_within(least: float) -> None:
    many = changes(Augmentation(0, 0, 0, 0, 0, 0, 0, crop=least))
    sides, middles = (np.array([getattr(done, name) for done in many]) for name in ("scale", "shift"))
    areas, aspects = sides.prod(1), sides[:, 1] / sides[:, 0]
    assert least <= areas.min() < least + 0.1 * (1 - least)
    assert areas.max() <= 1
    assert (aspects.min(), aspects.max()) >= (3 / 4 - 1e-9, 1)
    assert aspects.max() <= 4 / 3 + 1e-9
    assert (np.abs(middles) + sides / 2 <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("share", [0.0, -0.5, 1.2, float("nan")])
def test_a_crop_is_a_share(share: float) -> None:
    with pytest.raises(TrainingError, match="crop must be above 0 and at most 1"):
        Augmentation(crop=share)


def test_half_of_the_images_are_mirrored_and_none_without_being_asked() -> None:
    mirrored = [done.scale[1] < 0 for done in changes(MOST)]
    assert 120 < sum(mirrored) < 180  # of 300; four standard deviations are 35
    assert all(done.scale[1] > 0 for done in changes(Augmentation()))
    assert all(done.scale[0] > 0 for done in changes(MOST))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_values_stay_display_values(place: int) -> None:
    canvas = image(12, place)
    before = canvas.clone()
    augmented = augment(
        canvas,
        draw_change((1,), place, Augmentation(brightness=0.5, contrast=2, gamma=2, crop=0.1, flip=True, blur=0.5)),
    )
    assert augmented.shape == canvas.shape
    assert type(augmented) is torch.Tensor
    assert augmented.dtype == torch.float32
    assert 0 <= augmented.min() <= augmented.max() <= 1
    torch.testing.assert_close(canvas, before, rtol=0, atol=0)
