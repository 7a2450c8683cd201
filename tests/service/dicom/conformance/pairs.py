"""All pairs: few combinations in which every two values of two axes meet, the same few each time."""

from collections.abc import Callable, Mapping
from itertools import combinations

Combination = dict[str, str]
Axes = Mapping[str, tuple[str, ...]]
Pair = tuple[tuple[str, str], tuple[str, str]]


def every_pair(axes: Axes, allowed: Callable[[Combination], bool]) -> list[Pair]:
    """Pairs of (axis, value) that may meet, in the order of the axes."""
    found = []
    for one, other in combinations(axes, 2):
        for value in axes[one]:
            found += [((one, value), (other, second)) for second in axes[other] if allowed({one: value, other: second})]
    return found


def all_pairs(axes: Axes, allowed: Callable[[Combination], bool]) -> list[Combination]:
    """Combinations that cover every pair: each starts from one not met yet and takes, axis by axis, what meets most."""
    open_pairs = dict.fromkeys(every_pair(axes, allowed))  # a dict keeps its order, a set does not
    found = []
    while open_pairs:
        chosen: Combination = dict(next(iter(open_pairs)))
        for axis in axes:
            if axis not in chosen:
                possible = [value for value in axes[axis] if allowed(chosen | {axis: value})]
                chosen[axis] = max(possible, key=lambda value: _met(chosen, (axis, value), open_pairs))
        for pair in combinations([(axis, chosen[axis]) for axis in axes], 2):
            open_pairs.pop(pair, None)
        found.append({axis: chosen[axis] for axis in axes})
    return found


def _met(chosen: Combination, new: tuple[str, str], open_pairs: Mapping[Pair, None]) -> int:
    return sum((item, new) in open_pairs or (new, item) in open_pairs for item in chosen.items())
