"""The time that a run has left, over all its stages."""

from collections.abc import Sequence
from datetime import timedelta

from training.fit.stages import Stage

# Forward passes of one branch for an image; a backward pass takes about as long as two.
TRAINING = {"global": 3, "local": 4, "fusion": 2}
SCORING = {"global": 1, "local": 2, "fusion": 2}


def epoch_work(stage: str, trained: int, scored: int) -> int:
    """Return the work of an epoch in forward passes, for this many images."""
    return TRAINING[stage] * trained + SCORING[stage] * scored


def total_work(plan: Sequence[Stage], trained: int, scored: int) -> int:
    """Return the work of all epochs of these stages."""
    return sum(stage.epochs * epoch_work(stage.name, trained, scored) for stage in plan)


def format_left(seconds: float | None) -> str:
    """Return `, 1:02:03 left in all`; nothing if the time is not known yet."""
    return "" if seconds is None else f"  {timedelta(seconds=round(seconds))} left in all"
