"""The lineage of a run: the training data and patients of its starting weights and teachers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.sources import patients
from training.errors import TrainingError
from training.fit import checkpoint

PLAN = "plan.json"
SPLITS = ("train+val", "test")


def earlier_training_data(init: Path | None, teachers: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the card's entries for the training data of starting weights and teachers."""
    runs = [("pretraining", init.parent)] if init else []
    runs += [("teacher", teacher) for teacher in teachers]
    return [entry for role, run in runs for entry in inherited_entries(run, role)]


def inherited_entries(run: Path, role: str) -> list[dict[str, Any]]:
    """Return the entries of one folder with their role; none if the folder is not a run of this project."""
    if not (run / checkpoint.DOCUMENT).is_file():
        return []
    entries = checkpoint.read_json(run / checkpoint.DOCUMENT)["training_data"]
    return [{**entry, "role": f"{role}, " + entry["role"].removeprefix(f"{role}, ")} for entry in entries]


def all_patients(folder: Path) -> set[str]:
    """Return all patients of a folder of data, in any split, under all their names (see `patients`)."""
    return {name for split in SPLITS for name in patients([folder], split)}


def earlier_patients(run: Path) -> set[str]:
    """Return the patients on whom a run's starting weights and teachers were trained; none without a plan."""
    if not (run / PLAN).is_file():
        return set()
    plan = checkpoint.read_json(run / PLAN)
    before = [Path(plan["init"]).parent] if plan.get("init") else []
    return set[str]().union(*(training_patients(each) for each in [*before, *map(Path, plan.get("teachers", []))]))


def training_patients(run: Path) -> set[str]:
    """Return the patients on whom a run and the runs before it were trained; none for runs and data that are deleted.

    A fold counts with all patients of its train and val lists, as its plan does not contain those that it held out.
    """
    if not (run / PLAN).is_file():
        return set()
    plan, earlier = checkpoint.read_json(run / PLAN), earlier_patients(run)
    try:
        lists = "train+val" if plan["fold"] else plan["split"]
        own = patients([Path(plan["data"]), *map(Path, plan.get("further", []))], lists)
        return earlier | own - (all_patients(Path(plan["without"])) if plan.get("without") else set())
    except TrainingError:
        return earlier
