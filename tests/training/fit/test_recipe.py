from pathlib import Path

import pytest

from training.data.transforms import Augmentation
from training.errors import TrainingError
from training.fit.config import TrainConfig
from training.fit.recipe import FOLDER, from_toml, names, settled


def test_the_modern_recipe_is_the_default_said_aloud() -> None:
    assert settled("modern", None, {}) == TrainConfig()


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    """Sections 4.1 and 4.2, and Table II for the batches."""
    found = settled("paper", None, {})
    assert (found.backbone, found.pooling, found.statistic, found.tau) == ("resnet50", "max", "max", 0.7)
    assert (found.optimiser, found.momentum, found.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (found.learning_rates, found.schedule, found.step_epochs) == ((0.01, 0.01, 0.01), "step", 20)
    assert (found.epochs, found.batch_sizes, found.select) == ((50, 50, 50), (126, 64, 64), "best")
    assert (found.network.findings, found.crop_from, found.second_look) == (15, "input", "init")
    assert found.augmentation == Augmentation(0, 0, 0, 0, 0, 0, 0, crop=0.08, flip=True)
    assert not found.positive_weight


def test_the_paper_s_batches_are_its_backbone_s(tmp_path: Path) -> None:
    assert settled("paper", None, {"backbone": "densenet121"}).batch_sizes == (64, 32, 32)
    (tmp_path / "own.toml").write_text('backbone = "densenet121"\n')
    assert settled("paper", tmp_path / "own.toml", {}).batch_sizes == (64, 32, 32)
    assert settled("paper", tmp_path / "own.toml", {"batch_sizes": (8, 8, 8)}).batch_sizes == (8, 8, 8)


def test_what_is_given_wins_over_the_file_and_the_file_over_the_recipe(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    file.write_text("seed = 3\ntau = 0.6\nepochs = [5, 5, 5]\n[augmentation]\nflip = false\n")
    found = settled("paper", file, {"tau": 0.8})
    assert (found.tau, found.epochs, found.seed) == (0.8, (5, 5, 5), 3)
    assert (found.augmentation.flip, found.augmentation.crop) == (False, 0.08)
    assert found.optimiser == "sgd"


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="recipe: wanted one of modern, paper, got 'best'"):
        settled("best", None, {})
    (tmp_path / "broken.toml").write_text("epochs = [")
    for name in ("broken.toml", "absent.toml"):
        with pytest.raises(TrainingError, match=name):
            from_toml(tmp_path / name)


@pytest.mark.parametrize("name", names())
def test_a_recipe_makes_a_network(name: str) -> None:
    assert (FOLDER / f"{name}.toml").is_file()
    assert settled(name, None, {}).network.input_size == 224
