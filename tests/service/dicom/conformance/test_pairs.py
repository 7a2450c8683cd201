from itertools import combinations, product

from tests.service.dicom.conformance.pairs import all_pairs, every_pair

AXES = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1"), "d": ("0", "1")}


def not_both_zero(some: dict[str, str]) -> bool:
    return not (some.get("b") == "0" and some.get("c") == "0")


def test_every_pair_meets_in_few_combinations() -> None:
    found = all_pairs(AXES, lambda _: True)

    for one, other in combinations(AXES, 2):
        met = {(chosen[one], chosen[other]) for chosen in found}
        assert met == set(product(AXES[one], AXES[other]))
    assert len(found) < 12  # of 24; 6 is the least, as a has 3 values and b 2


def test_a_pair_that_may_not_meet_does_not() -> None:
    found = all_pairs(AXES, not_both_zero)

    assert all(map(not_both_zero, found))
    assert {(chosen["b"], chosen["c"]) for chosen in found} == {("0", "1"), ("1", "0"), ("1", "1")}
    assert len(every_pair(AXES, not_both_zero)) == 6 * 3 + 4 * 3 - 1  # a with b, c, d; and three pairs of two


def test_the_same_each_time() -> None:
    assert all_pairs(AXES, not_both_zero) == all_pairs(AXES, not_both_zero)
