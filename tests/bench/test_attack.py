"""The penetration test, each attack small."""

from bench import attack


def test_every_attack_is_survived() -> None:
    assert attack.main(["--connections", "40", "--seconds", "1"]) == 0
