from dataclasses import replace

from training.fit.config import TrainConfig
from training.fit.stages import stages
from training.fit.time_left import epoch_work, format_left, total_work


def test_the_work_of_a_run_is_that_of_all_its_epochs() -> None:
    """An image costs a forward pass for each branch, and two more for the one that is trained."""
    assert [epoch_work(stage, 10, 4) for stage in ("global", "local", "fusion")] == [34, 48, 28]
    config = TrainConfig(epochs=(3, 2, 1))
    assert total_work(stages(config), 10, 4) == 3 * 34 + 2 * 48 + 28
    assert total_work(stages(replace(config, stages=("local",))), 10, 0) == 2 * 40


def test_the_time_left_is_hours_minutes_and_seconds() -> None:
    assert format_left(3723.4) == "  1:02:03 left in all"
    assert format_left(None) == ""
