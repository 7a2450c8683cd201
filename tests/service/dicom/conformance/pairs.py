"""All-pairs testing: a small, reproducible set of combinations that covers every pair of values of two axes."""

from collections.abc import Callable, Mapping
from itertools import combinations

Combination = dict[str, str]
Axes = Mapping[str, tuple[str, ...]]
Pair = tuple[tuple[str, str], tuple[str, str]]


def every_pair(axes: Axes, allowed: Callable[[Combination], bool]) -> list[Pair]:
    """Return the allowed pairs of (axis, value), in the order of the axes."""
    pairs = []
    for one, other in combinations(axes, 2):
        for value in axes[one]:
            pairs += [((one, value), (other, second)) for second in axes[other] if allowed({one: value, other: second})]
    return pairs


def all_pairs(axes: Axes, allowed: Callable[[Combination], bool]) -> list[Combination]:
    """Choose combinations that cover every pair: each starts from an open pair and closes as many others as it can."""
    open_pairs = dict.fromkeys(every_pair(axes, allowed))  # a dict keeps its order, a set does not
    combined = []
    while open_pairs:
        chosen: Combination = dict(next(iter(open_pairs)))
        for axis in axes:
            if axis not in chosen:
                possible = [value for value in axes[axis] if allowed(chosen | {axis: value})]
                chosen[axis] = max(possible, key=lambda value: _closed(chosen, (axis, value), open_pairs))
        for pair in combinations([(axis, chosen[axis]) for axis in axes], 2):
            open_pairs.pop(pair, None)
        combined.append({axis: chosen[axis] for axis in axes})
    return combined


def _closed(chosen: Combination, new: tuple[str, str], open_pairs: Mapping[Pair, None]) -> int:
    return sum((item, new) in open_pairs or (new, item) in open_pairs for item in chosen.items())
