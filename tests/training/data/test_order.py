from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.cache import Canvases
from training.data.order import cycle, epoch_order, fold


def test_every_image_once_without_balance(canvases: Canvases) -> None:
    assert sorted(epoch_order(canvases, (1, 0, 0), balance=False)) == list(range(20))


def test_balance_gives_collections_the_same_share_and_images_of_one_nearly_the_same(canvases: Canvases) -> None:
    order = epoch_order(canvases, (1, 0, 0), balance=True)
    assert Counter(canvases.collections[index] for index in order) == {"A": 10, "B": 10}
    counts = Counter(order.tolist())
    assert {counts[index] for index in range(16, 20)} <= {2, 3}
    assert max(counts[index] for index in range(16)) == 1


def test_balance_of_one_collection_is_a_permutation(canvases: Canvases) -> None:
    alone = replace(canvases, cases=tuple(replace(case, collection="") for case in canvases.cases))
    assert sorted(epoch_order(alone, (1, 0, 0), balance=True)) == list(range(20))


def test_the_seed_alone_decides(canvases: Canvases) -> None:
    first = epoch_order(canvases, (1, 0, 0), balance=True)
    np.testing.assert_array_equal(first, epoch_order(canvases, (1, 0, 0), balance=True))
    assert not np.array_equal(first, epoch_order(canvases, (1, 0, 1), balance=True))


@given(st.integers(1, 9), st.integers(1, 40))
def test_rounds_uses_members_evenly(members: int, count: int) -> None:
    drawn = Counter(cycle(np.arange(members), count, np.random.default_rng(0)).tolist())
    assert drawn.total() == count
    assert max(drawn.values()) - min(drawn[member] for member in range(members)) <= 1


@pytest.mark.parametrize("folds", [2, 3, 4])
def test_folds_part_the_images_and_never_a_patient(canvases: Canvases, folds: int) -> None:
    held = []
    for number in range(folds):
        train, held_out = fold(canvases, number, folds, 0)
        assert sorted([*train, *held_out]) == list(range(20))
        assert not {canvases.patients[i] for i in train} & {canvases.patients[i] for i in held_out}
        held += held_out.tolist()
    assert sorted(held) == list(range(20))


def test_collections_are_dealt_evenly(canvases: Canvases) -> None:
    held = [fold(canvases, number, 4, 0)[1] for number in range(4)]
    assert [sum(canvases.collections[index] == "B" for index in part) for part in held] == [1, 1, 1, 1]
