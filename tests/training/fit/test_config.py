from pathlib import Path

import pytest

from training.errors import TrainingError
from training.fit.config import TrainConfig, with_changes
from training.fit.recipe import read_toml


def test_toml_changes_only_the_settings_in_it(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    lines = [
        "epochs = [3, 2, 1]",
        'pooling = "average"',
        "learning_rates = [1, 0.5, 0.1]",
        "[augmentation]",
        "zoom = 0.2",
    ]
    file.write_text("\n".join(lines))
    config = with_changes(TrainConfig(), read_toml(file))
    assert config.epochs == (3, 2, 1)
    assert config.network.pooling == "average"
    assert (config.augmentation.zoom, config.augmentation.rotation) == (0.2, TrainConfig().augmentation.rotation)
    assert config.seed == TrainConfig().seed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "unknown 'epoch'"),
        ({"augmentation": {"mirror": True}}, "augmentation: unknown 'mirror'"),
        ({"epochs": 3}, "epochs must be tuple, got 3"),
        ({"batch_sizes": 32}, "batch_sizes must be tuple"),
        ({"batch_sizes": ("a", 1, 1)}, "batch_sizes: expected three positive"),
        ({"workers": -1}, "workers: expected at least 0"),
        ({"devices": 0}, "devices: expected at least 1"),
        ({"distil": 1.5}, "distil and average"),
        ({"average": 1.0}, "distil and average"),
        ({"momentum": 1.0}, "momentum"),
        ({"distil": 0.5, "no_finding": True}, "cannot be combined with no_finding"),
        ({"optimiser": "adam"}, "optimiser: expected one of adamw, sgd"),
        ({"schedule": "linear"}, "schedule: expected one of cosine, step"),
        ({"balance": 1}, "balance must be bool"),
        ({"epochs": (1, 2)}, "three positive numbers"),
        ({"epochs": (1, 2, 0)}, "positive"),
        ({"learning_rates": (1e-3, 0.0, 1e-3)}, "positive"),
        ({"stages": ("global", "locale")}, "got 'locale'"),
        ({"select": "first"}, "select: expected one of best, last"),
        ({"precision": "8"}, "precision: expected one of"),
    ],
)
def test_an_invalid_setting_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        with_changes(TrainConfig(), changes)


def test_an_invalid_network_gives_one_line() -> None:
    with pytest.raises(TrainingError, match="multiple of input_size"):
        _ = TrainConfig(canvas_size=500).network


def test_the_network_has_the_settings_of_the_run() -> None:
    network = TrainConfig(statistic="l1", crop_from="input", tau=0.6, no_finding=True).network
    assert (network.statistic, network.crop_from, network.tau, network.findings) == ("l1", "input", 0.6, 15)
    assert TrainConfig().network.findings == 14
    assert TrainConfig().network_for(("Effusion", "Fracture")).findings == 2
    with pytest.raises(TrainingError, match="no_finding: the data have a label No Finding of their own"):
        TrainConfig(no_finding=True).network_for(("Effusion", "No Finding"))
