"""Evaluated runs as systems: those whose configurations differ in the seed alone are one system."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.errors import TrainingError
from training.evaluation import predictions
from training.evaluation.systems import System
from training.fit import checkpoint
from training.report.evaluate import TEST
from training.report.model_card import MACHINE
from training.report.study import read_plan

SEED = "seed"

Settings = dict[str, Any]


def group(runs: Sequence[Path]) -> tuple[tuple[System, ...], dict[str, str]]:
    """Group runs to systems, in the order of their first runs, named A, B, C and so on.

    Returns
    -------
    systems
        The predictions of every run of each system.
    descriptions
        Name of each system to its folders and to the settings in which it differs from the others.

    Raises
    ------
    TrainingError
        A run was not evaluated, or two runs of a system have the same seed.
    """
    documents = {run: checkpoint.read_json(run / checkpoint.DOCUMENT) for run in runs}
    grouped: list[tuple[Settings, list[Path]]] = []
    for run, document in documents.items():
        same = next((members for known, members in grouped if known == settings(run, document)), None)
        if same is None:
            grouped.append((settings(run, document), [run]))
        else:
            same.append(run)
    for _, members in grouped:
        refuse_equal_seeds(members, [documents[run]["config"].get(SEED) for run in members])
    names = [letters(place) for place in range(len(grouped))]
    systems = tuple(
        System(name, tuple(predictions.load(run / TEST) for run in members))
        for name, (_, members) in zip(names, grouped, strict=True)
    )
    differing = differences([known for known, _ in grouped])
    descriptions = {
        name: describe(members, {key: known.get(key) for key in differing})
        for name, (known, members) in zip(names, grouped, strict=True)
    }
    return systems, descriptions


def settings(run: Path, document: Mapping[str, Any]) -> Settings:
    """Return the settings of a run that make it a system: all but the seed and those of the machine."""
    config = {name: value for name, value in document["config"].items() if name not in (SEED, *MACHINE)}
    data = [f"{entry['name']} ({entry['images']} images, {entry['role']})" for entry in document["training_data"]]
    plan = read_plan(run) or {}
    init = Path(plan["init"]).name if plan.get("init") else None
    return {**document["network"], **config, "init": init, "training data": data}


def refuse_equal_seeds(runs: Sequence[Path], seeds: Sequence[Any]) -> None:
    """Refuse two runs with equal settings and seeds: they are one result, and would make the spread too small."""
    for place, seed in enumerate(seeds):
        if seed in seeds[:place]:
            other = runs[seeds.index(seed)]
            raise TrainingError(f"{runs[place]}: has the same configuration and seed as {other}")


def differences(systems: Sequence[Settings]) -> list[str]:
    """Return the names of the settings that are not equal in all systems, sorted."""
    names = sorted({name for each in systems for name in each})
    return [name for name in names if any(each.get(name) != systems[0].get(name) for each in systems)]


def describe(runs: Sequence[Path], differing: Mapping[str, Any]) -> str:
    """Describe a system by its folders and by what is special about it."""
    folders = ", ".join(f"`{run}`" for run in runs)
    special = "; ".join(f"{name.replace('_', ' ')} {shown(value)}" for name, value in differing.items())
    return f"{folders}: {special}" if special else folders


def shown(value: Any) -> str:
    """Format a setting."""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def letters(place: int) -> str:
    """Return A to Z, then AA, AB and so on."""
    return (letters(place // 26 - 1) if place >= 26 else "") + chr(ord("A") + place % 26)
