"""Recipes (named settings), and how recipe, TOML file and command line are combined to one configuration."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.fit.config import TrainConfig, with_changes

FOLDER = Path(__file__).parents[1] / "recipes"
WITH = "with"  # table of further settings for certain backbones


def resolve_config(recipe: str, file: Path | None, options: Mapping[str, Any]) -> TrainConfig:
    """Combine the settings of a run: options override the file, and the file overrides the recipe.

    Parameters
    ----------
    recipe
        Name of a recipe, see `recipe_names`.
    file
        TOML file of settings.
    options
        Settings by name.

    Raises
    ------
    TrainingError
        The recipe is unknown, the file cannot be read, or a setting does not fit.
    """
    if recipe not in recipe_names():
        raise TrainingError(f"recipe: expected one of {', '.join(recipe_names())}, got {recipe!r}")
    written = read_toml(FOLDER / f"{recipe}.toml")
    from_file = read_toml(file) if file else {}
    by_backbone = written.pop(WITH, {})
    backbone = {**written, **from_file, **options}["backbone"]
    settings = TrainConfig()
    for layer in (written, by_backbone.get(backbone, {}), from_file, options):
        settings = with_changes(settings, dict(layer))
    return settings


def recipe_names() -> list[str]:
    """Return the names of all recipes, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def read_toml(path: Path) -> dict[str, Any]:
    """Read the settings of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from error
