"""The lineage of a run: the training data and patients of its starting weights and teachers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from training.data.sources import patients
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit.artefact_weights import SUFFIX, read_artefact
from training.fit.config import STAGES, TrainConfig
from training.fit.stages import PARTS

PLAN = "plan.json"
SPLITS = ("train+val", "test")


def earlier_training_data(init: Path | None, teachers: Sequence[Path]) -> list[dict[str, Any]]:
    """Return the card's entries for the training data of starting weights and teachers."""
    runs = [("pretraining", init.parent if init.suffix != SUFFIX else init)] if init else []
    runs += [("teacher", teacher) for teacher in teachers]
    return [entry for role, run in runs for entry in inherited_entries(run, role)]


def inherited_entries(run: Path, role: str) -> list[dict[str, Any]]:
    """Return the entries of a run's folder or of an artefact with their role; none if it is neither."""
    document = read_artefact(run)[1] if run.suffix == SUFFIX else document_of(run)
    entries = document.get("training_data", [])
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


def trained_stages(run: Path) -> set[str]:
    """Return the stages by which a run's network was trained, in the run itself or before; all if that is unknown."""
    document = document_of(run)
    if "trained" in document or "config" not in document:
        return set(document.get("trained", STAGES))
    init = checkpoint.read_json(run / PLAN).get("init") if (run / PLAN).is_file() else None
    return set(document["config"]["stages"]) | inherited_stages(init and Path(init))


def inherited_stages(init: Path | None) -> set[str]:
    """Return the stages by which starting weights were trained; none for a published backbone.

    A network without a run beside it counts as trained in all its parts, as nothing else is known of it.
    """
    if init is None:
        return set()
    names = checkpoint.read_state(init).keys() if init.is_file() else [f"{part}." for part in PARTS.values()]
    parts = {stage for stage, part in PARTS.items() if any(name.startswith(f"{part}.") for name in names)}
    last = STAGES.index(init.stem) if init.stem in STAGES else len(STAGES)  # a file that a run wrote after a stage
    before = set(STAGES) if init.suffix == SUFFIX else trained_stages(init.parent)
    return parts & before & set(STAGES[: last + 1])


def require_global(config: TrainConfig, inherited: set[str]) -> set[str]:
    """Return the stages by which the network will be trained in the end, the inherited ones included.

    Raises
    ------
    TrainingError
        The global branch is not among them.
    """
    trained = inherited.union(config.stages)
    if "global" not in trained:
        advice = "add the stage global, or start with --init from a run that has trained it"
        raise TrainingError(f"stages: {', '.join(config.stages)} need a trained global branch; {advice}")
    return trained


def require_trained(run: Path, second_look: bool = True) -> None:
    """Refuse an earlier run of single stages, whose other parts are random; today's runs leave no part random.

    Without a second look, the fusion layer may be random, as it decides nothing.

    Raises
    ------
    TrainingError
        Neither the run nor its starting weights trained the global branch, or the fusion layer.
    """
    needed = ("global", "fusion") if second_look else ("global",)
    missing = [stage for stage in needed if stage not in trained_stages(run)]
    if missing and "trained" not in document_of(run):
        raise TrainingError(f"{run}: stage {missing[0]} was never trained, so its weights are random; train it again")


def document_of(run: Path) -> dict[str, Any]:
    """Return the document of a finished run; an empty one if the folder has none."""
    path = run / checkpoint.DOCUMENT
    return checkpoint.read_json(path) if path.is_file() else {}
