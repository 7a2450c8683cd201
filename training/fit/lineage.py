"""What a run's weights learned from before it began: starting weights, teachers, and whose images those saw."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.sources import read
from training.errors import TrainingError
from training.fit import checkpoint

PLAN = "plan.json"
SPLITS = ("train+val", "test")
SIDE = 8  # pixels: here no image is read


def seen_before(init: Path | None, teachers: Sequence[Path]) -> list[dict[str, Any]]:
    """The card's entries for what starting weights and teachers were trained on."""
    runs = [("pretraining", init.parent)] if init else []
    runs += [("teacher", teacher) for teacher in teachers]
    return [entry for role, run in runs for entry in inherited(run, role)]


def inherited(run: Path, role: str) -> list[dict[str, Any]]:
    """The entries of one folder, with what they were for; none where no run of ours made it."""
    if not (run / checkpoint.DOCUMENT).is_file():
        return []
    entries = checkpoint.read_json(run / checkpoint.DOCUMENT)["training_data"]
    return [{**entry, "role": f"{role}, " + entry["role"].removeprefix(f"{role}, ")} for entry in entries]


def patients_of(folder: Path) -> set[str]:
    """Everybody in a folder of data, whatever the split."""
    return {case.patient for split in SPLITS for case in read(folder, split, SIDE).cases}


def patients_seen_before(run: Path) -> set[str]:
    """Whose images a run's starting weights and teachers had learned from; nobody where no plan tells."""
    if not (run / PLAN).is_file():
        return set()
    plan = checkpoint.read_json(run / PLAN)
    before = [Path(plan["init"]).parent] if plan.get("init") else []
    return set[str]().union(*(patients_seen(each) for each in [*before, *map(Path, plan.get("teachers", []))]))


def patients_seen(run: Path) -> set[str]:
    """Whose images a run learned from, and the runs before it; of runs and data that are no longer there, nobody.

    A fold counts with all of its folder's train and val lists: which of them it left out, its own plan does not tell.
    """
    if not (run / PLAN).is_file():
        return set()
    plan, seen = checkpoint.read_json(run / PLAN), patients_seen_before(run)
    try:
        lists = "train+val" if plan["fold"] else plan["split"]
        own = {case.patient for case in read(Path(plan["data"]), lists, SIDE).cases}
        return seen | own - (patients_of(Path(plan["without"])) if plan.get("without") else set())
    except TrainingError:
        return seen
