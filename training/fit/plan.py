"""The plan of a run: its data and starting weights, and the check of their tables before anything is decoded."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from training.data.cache import Canvases
from training.data.chexpert import Uncertain
from training.data.examples import count_examples, require_examples, sum_examples
from training.data.sample import targets
from training.data.sources import joined_canvases, read
from training.fit.config import TrainConfig


@dataclass(frozen=True)
class Plan:
    """Data and starting weights of a run.

    Attributes
    ----------
    split
        `train`, scored on `val`; or `train+val`, not scored.
    fold
        (k, n): train on all but part k, counted from 0, of n patient-grouped parts of train + val, and score on part k.
    init
        File of starting weights, see `starting_weights.initialise`.
    teachers
        Folders of finished runs for distillation.
    without
        Another folder of data, whose patients are excluded from training, so that a later run can be scored on them.
    further
        Further folders of data, used together with `data`.
    uncertain
        Value of uncertain labels, see `training.data.sources.read`.
    """

    data: Path
    cache: Path
    split: str = "train"
    fold: tuple[int, int] | None = None
    init: Path | None = None
    teachers: tuple[Path, ...] = ()
    without: Path | None = None
    further: tuple[Path, ...] = ()
    uncertain: Uncertain = "ignore"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders of data."""
        return (self.data, *self.further)

    def canvases(self, split: str, size: int) -> Canvases:
        """Return the canvases of one split of all folders."""
        return joined_canvases(self.folders, split, size, self.cache, self.uncertain)


def planned_document(plan: Plan, config: TrainConfig, labels: Sequence[str]) -> dict[str, Any]:
    """Return what a run is going to do, as it is written to its folder before the first epoch."""
    places: dict[str, Any] = {"data": plan.data.resolve(), "init": plan.init and plan.init.resolve()}
    places["teachers"] = [teacher.resolve() for teacher in plan.teachers]
    if plan.without:
        places["without"] = plan.without.resolve()
    if plan.further:
        places["further"] = [folder.resolve() for folder in plan.further]
    if plan.uncertain != "ignore":
        places["uncertain"] = plan.uncertain
    return {"config": asdict(config), "split": plan.split, "fold": plan.fold, "labels": labels, **places}


def check_tables(plan: Plan, config: TrainConfig) -> list[str]:
    """Check before any image is decoded that the training list can teach something, and that the test list is whole.

    Returns warnings to print.

    Raises
    ------
    TrainingError
        A table or list is broken, a listed image does not exist, or there is nothing to learn.
    """
    split = "train+val" if plan.fold else plan.split
    lists = [read(folder, split, config.canvas_size, plan.uncertain) for folder in plan.folders]
    if not config.distil:  # teachers also label images of which nothing is known
        counts = [count_examples(targets(images.cases), images.labels) for images in lists]
        require_examples(sum_examples(counts), " + ".join(images.name for images in lists))
    if not sum(len(read(folder, "test", config.canvas_size)) for folder in plan.folders):
        names = ", ".join(map(str, plan.folders))
        return [f"warning: {names}: no test images, which agcnn evaluate --run will need"]
    return []
