"""Recipes, the settings of a kind of run; how they, a file and the command line become one configuration."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.fit.config import TrainConfig, configured

FOLDER = Path(__file__).parents[1] / "recipes"
MODERN = "modern"
WITH = "with"  # the table of what else holds with one backbone


def settled(recipe: str, file: Path | None, given: Mapping[str, Any]) -> TrainConfig:
    """The configuration of a run: what is given wins over the file, and the file over the recipe.

    Parameters
    ----------
    recipe
        `modern` or `paper`.
    file
        TOML of settings.
    given
        Settings by name.

    Raises
    ------
    TrainingError
        An unknown recipe, an unreadable file, or a setting that does not fit.
    """
    if recipe not in names():
        raise TrainingError(f"recipe: wanted one of {', '.join(names())}, got {recipe!r}")
    written = from_toml(FOLDER / f"{recipe}.toml")
    own = from_toml(file) if file else {}
    special = written.pop(WITH, {})
    backbone = {**written, **own, **given}["backbone"]
    settings = TrainConfig()
    for layer in (written, special.get(backbone, {}), own, given):
        settings = configured(settings, dict(layer))
    return settings


def names() -> list[str]:
    """The recipes there are."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def from_toml(path: Path) -> dict[str, Any]:
    """The settings a TOML file names."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TrainingError(f"{path}: {error}") from error
