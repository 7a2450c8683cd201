"""The claim of a run on its folder: a new run needs a free one, a resumed run one that was begun with the same plan."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from model.labels import LABELS
from training.errors import TrainingError
from training.fit import checkpoint
from training.fit.config import Precision, TrainConfig
from training.fit.lineage import PLAN
from training.fit.loop import LAST


def claim(run: Path, planned: Mapping[str, Any], resume: bool) -> None:
    """Create the run folder, or check that an existing one has the same plan; before the first epoch it may change.

    Raises
    ------
    TrainingError
        The folder cannot be created, or contains another run, or one that is not to be resumed.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{run}: {error.strerror}") from error
    plan = checkpoint.plain(planned)
    if not has_begun(run):
        return checkpoint.write_json(run / PLAN, plan)
    if not resume:
        raise TrainingError(f"{run} contains a run already: resume it with --resume, or choose another --out")
    if changed := changed_names(flatten(checkpoint.read_json(run / PLAN)), flatten(plan)):
        where = f"{run / PLAN} has another configuration ({', '.join(changed)})"
        raise TrainingError(f"{where}: a run can only be resumed with its own")
    return None


def flatten(planned: dict[str, Any]) -> dict[str, Any]:
    """Merge a plan and its configuration into one table, without settings that say only where the run computes.

    Settings that an earlier version did not know have their default, and labels those of ChestX-ray14.
    """
    config, default = planned["config"], checkpoint.plain(asdict(TrainConfig()))
    changes = {**default["augmentation"], **config["augmentation"]}
    table = {"labels": list(LABELS), **planned, **default, **config, "augmentation": changes}
    return {name: value for name, value in table.items() if name not in ("config", "workers", "accelerator")}


def changed_names(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the names whose values differ, sorted."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def precision_before(run: Path) -> Precision | None:
    """Return the precision with which a run was begun; None if it has no finished epoch."""
    return checkpoint.read_json(run / PLAN)["config"]["precision"] if has_begun(run) else None


def has_begun(run: Path) -> bool:
    """Return whether a run folder has a plan and at least one finished epoch."""
    return (run / PLAN).is_file() and any((run / left).is_file() for left in (LAST, checkpoint.DOCUMENT))
