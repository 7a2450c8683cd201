from itertools import combinations, product

from tests.service.dicom.conformance.pairs import all_pairs, every_pair

AXES = {"a": ("0", "1", "2"), "b": ("0", "1"), "c": ("0", "1"), "d": ("0", "1")}


def not_both_zero(some: dict[str, str]) -> bool:
    return not (some.get("b") == "0" and some.get("c") == "0")


def test_every_pair_is_covered_by_few_combinations() -> None:
    combined = all_pairs(AXES, lambda _: True)

    for one, other in combinations(AXES, 2):
        covered = {(chosen[one], chosen[other]) for chosen in combined}
        assert covered == set(product(AXES[one], AXES[other]))
    assert len(combined) < 12  # of 24; 6 is the least, as a has 3 values and b 2


def test_a_forbidden_pair_does_not_occur() -> None:
    combined = all_pairs(AXES, not_both_zero)

    assert all(map(not_both_zero, combined))
    assert {(chosen["b"], chosen["c"]) for chosen in combined} == {("0", "1"), ("1", "0"), ("1", "1")}
    assert len(every_pair(AXES, not_both_zero)) == 6 * 3 + 4 * 3 - 1  # a with b, c, d; and three pairs of two


def test_the_combinations_are_reproducible() -> None:
    assert all_pairs(AXES, not_both_zero) == all_pairs(AXES, not_both_zero)
