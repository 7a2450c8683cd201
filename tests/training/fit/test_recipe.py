from pathlib import Path

import pytest

from training.data.transforms import Augmentation
from training.errors import TrainingError
from training.fit.config import TrainConfig
from training.fit.recipe import FOLDER, read_toml, recipe_names, resolve_config


def test_the_modern_recipe_has_the_default_settings() -> None:
    assert resolve_config("modern", None, {}) == TrainConfig()


def test_the_paper_recipe_has_the_settings_of_the_paper() -> None:
    """Sections 4.1 and 4.2, and Table II for the batches."""
    config = resolve_config("paper", None, {})
    assert (config.backbone, config.pooling, config.statistic, config.tau) == ("resnet50", "max", "max", 0.7)
    assert (config.optimiser, config.momentum, config.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (config.learning_rates, config.schedule, config.step_epochs) == ((0.01, 0.01, 0.01), "step", 20)
    assert (config.epochs, config.batch_sizes, config.select) == ((50, 50, 50), (126, 64, 64), "best")
    assert (config.network.findings, config.crop_from, config.second_look) == (15, "input", "init")
    assert config.augmentation == Augmentation(0, 0, 0, 0, 0, 0, 0, crop=0.08, flip=True)
    assert not config.positive_weight


def test_batch_sizes_of_the_paper_depend_on_the_backbone(tmp_path: Path) -> None:
    assert resolve_config("paper", None, {"backbone": "densenet121"}).batch_sizes == (64, 32, 32)
    (tmp_path / "own.toml").write_text('backbone = "densenet121"\n')
    assert resolve_config("paper", tmp_path / "own.toml", {}).batch_sizes == (64, 32, 32)
    assert resolve_config("paper", tmp_path / "own.toml", {"batch_sizes": (8, 8, 8)}).batch_sizes == (8, 8, 8)


def test_options_override_the_file_and_the_file_overrides_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("seed = 3\ntau = 0.6\nepochs = [5, 5, 5]\n[augmentation]\nflip = false\n")
    config = resolve_config("paper", file, {"tau": 0.8})
    assert (config.tau, config.epochs, config.seed) == (0.8, (5, 5, 5), 3)
    assert (config.augmentation.flip, config.augmentation.crop) == (False, 0.08)
    assert config.optimiser == "sgd"


def test_an_unknown_recipe_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="recipe: expected one of modern, paper, shipped, got 'best'"):
        resolve_config("best", None, {})
    (tmp_path / "broken.toml").write_text("epochs = [")
    for name in ("broken.toml", "absent.toml"):
        with pytest.raises(TrainingError, match=name):
            read_toml(tmp_path / name)


@pytest.mark.parametrize(("name", "input_size"), [("modern", 224), ("paper", 224), ("shipped", 128)])
def test_a_recipe_makes_a_network(name: str, input_size: int) -> None:
    assert name in recipe_names()
    assert (FOLDER / f"{name}.toml").is_file()
    assert resolve_config(name, None, {}).network.input_size == input_size


def test_a_recipe_is_the_same_by_name_as_by_file() -> None:
    assert resolve_config("shipped", None, {}) == resolve_config("modern", FOLDER / "shipped.toml", {})
