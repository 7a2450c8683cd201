from pathlib import Path

import pytest

from training.config import TrainConfig, configured, from_toml
from training.errors import TrainingError


def test_toml_changes_what_it_names(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    lines = [
        "epochs = [3, 2, 1]",
        'pooling = "average"',
        "learning_rates = [1, 0.5, 0.1]",
        "[augmentation]",
        "zoom = 0.2",
    ]
    file.write_text("\n".join(lines))
    found = configured(TrainConfig(), from_toml(file))
    assert found.epochs == (3, 2, 1)
    assert found.network.pooling == "average"
    assert (found.augmentation.zoom, found.augmentation.rotation) == (0.2, TrainConfig().augmentation.rotation)
    assert found.seed == TrainConfig().seed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "unknown 'epoch'"),
        ({"augmentation": {"flip": True}}, "augmentation: unknown 'flip'"),
        ({"epochs": 3}, "epochs must be tuple, got 3"),
        ({"batch_size": "32"}, "batch_size must be int"),
        ({"balance": 1}, "balance must be bool"),
        ({"epochs": (1, 2)}, "three numbers"),
        ({"epochs": (1, 2, 0)}, "positive"),
        ({"learning_rates": (1e-3, 0.0, 1e-3)}, "positive"),
        ({"stages": ("global", "locale")}, "got 'locale'"),
        ({"select": "first"}, "select: wanted one of best, last"),
        ({"precision": "8"}, "precision: wanted one of"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        configured(TrainConfig(), changes)


def test_a_network_that_cannot_be_is_one_line() -> None:
    with pytest.raises(TrainingError, match="multiple of input_size"):
        _ = TrainConfig(canvas_size=500).network


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("epochs = [")
    for name in ("broken.toml", "absent.toml"):
        with pytest.raises(TrainingError, match=name):
            from_toml(tmp_path / name)
