"""Order and values of batches, and their independence of batch size and workers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from training.data.cache import Canvases, cache_canvases
from training.data.chestxray14 import read
from training.data.loader import augmented, load
from training.data.order import Indices
from training.data.transforms import Augmentation, augment, collect, draw_change

STRONG = Augmentation(crop=0.4, flip=True)
SEED = (7, 0, 3)


def cuts(count: int, size: int) -> list[tuple[Indices, Indices]]:
    """Batches of this size of one shuffled epoch."""
    order = np.random.default_rng(1).permutation(count)
    return [(places, order[places]) for places in np.split(np.arange(count), range(size, count, size))]


def epoch(canvases: Canvases, size: int, workers: int) -> tuple[Tensor, Tensor]:
    """All of an epoch, batches put together."""
    batches = whole(canvases, cuts(len(canvases), size), workers)
    assert all(len(canvas) == size for canvas, _ in batches[:-1])
    return torch.cat([canvas for canvas, _ in batches]), torch.cat([target for _, target in batches])


def whole(canvases: Canvases, batches: list[tuple[Indices, Indices]], workers: int = 0) -> list[tuple[Tensor, Tensor]]:
    loaded = load(canvases, batches, SEED, STRONG, workers)
    return [augmented(batch, canvases.factor, torch.device("cpu")) for batch in loaded]


def same(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> None:
    """Equal up to rounding, as vectorised code treats the ends of a batch in another way than its middle."""
    torch.testing.assert_close(other, one, rtol=0, atol=1e-6, equal_nan=True)


def test_every_image_is_augmented_by_its_place(canvases: Canvases) -> None:
    images, targets = epoch(canvases, 8, 0)
    assert images.shape == (20, 1, 64, 64)
    for place, index in enumerate(np.random.default_rng(1).permutation(20)):
        canvas, target = canvases.batch(np.array([index]))
        expected = augment(canvas, collect([draw_change(SEED, place, STRONG)]))
        torch.testing.assert_close(images[place], expected[0], rtol=0, atol=1e-6)
        torch.testing.assert_close(targets[place], target[0], rtol=0, atol=0)


@pytest.mark.parametrize("size", [1, 7, 20])
def test_augmentation_does_not_depend_on_batches(canvases: Canvases, size: int) -> None:
    same(epoch(canvases, 8, 0), epoch(canvases, size, 0))


def test_augmentation_does_not_depend_on_workers(published: Path, tmp_path: Path) -> None:
    canvases = cache_canvases(read(published, "train", 48), tmp_path).subset(np.arange(3, 20)).reduced(24)
    here = epoch(canvases, 8, 0)
    for workers in (1, 2):
        same(here, epoch(canvases, 5, workers))


def test_half_of_the_places_are_a_part_of_the_whole(canvases: Canvases) -> None:
    """Two processes share an epoch in this way."""
    everything, _ = epoch(canvases, 4, 0)
    halves = [(places[1::2], indices[1::2]) for places, indices in cuts(20, 4)]
    half = torch.cat([canvas for canvas, _ in whole(canvases, halves)])
    torch.testing.assert_close(half, everything[1::2], rtol=0, atol=1e-6)


def test_workers_send_the_stored_bytes(published: Path, tmp_path: Path) -> None:
    canvases = cache_canvases(read(published, "train", 48), tmp_path).reduced(24)
    [batch] = load(canvases, [(np.array([0, 1]), np.array([4, 2]))], SEED, STRONG, 1)
    assert batch.pixels.dtype == torch.uint8
    np.testing.assert_array_equal(batch.pixels[:, 0], canvases.pixels[[4, 2]])


def test_unknown_findings_stay_unknown(canvases: Canvases) -> None:
    canvases.targets[5, 2] = np.nan
    [(_, target)] = whole(canvases, [(np.array([0, 1]), np.array([5, 6]))])
    assert target.isnan().nonzero().tolist() == [[0, 2]]


def test_global_random_state_neither_matters_nor_moves(canvases: Canvases) -> None:
    torch.manual_seed(0)
    legacy = np.random.get_state()[1].tolist()  # type: ignore[union-attr, index]
    here = epoch(canvases, 8, 0)
    assert np.random.get_state()[1].tolist() == legacy  # type: ignore[union-attr, index]
    after = torch.rand(3)
    torch.manual_seed(0)
    torch.testing.assert_close(torch.rand(3), after, rtol=0, atol=0)
    same(here, epoch(canvases, 8, 0))


def test_an_epoch_left_early_leaves_no_error(canvases: Canvases) -> None:
    batches = load(canvases, cuts(20, 2), SEED, STRONG, 1)
    next(batches)
    batches.close()  # type: ignore[attr-defined]


def test_threads_of_this_process_do_not_matter(canvases: Canvases) -> None:
    one = epoch(canvases, 8, 0)
    torch.set_num_threads(2)
    try:
        same(one, epoch(canvases, 8, 0))
    finally:
        torch.set_num_threads(1)
