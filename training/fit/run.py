"""One training run, from data on disk to a finished run folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.agcnn import Agcnn
from model.labels import LABELS
from training.data.cache import Canvases
from training.data.chexpert import Uncertain
from training.data.order import fold
from training.data.sources import joined_canvases, joined_labels
from training.errors import TrainingError
from training.evaluation import predictions
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.distillation import distil_targets
from training.fit.lineage import PLAN, all_patients, earlier_patients, earlier_training_data
from training.fit.loop import LAST, Data, create_fabric_for, fit
from training.fit.loss import Loss
from training.fit.served_weights import as_served
from training.fit.stages import start_at_prevalence
from training.fit.trained_labels import untrained_labels

HELD_OUT = "held_out.npz"
PART = "held_out.part.npz"  # HELD_OUT while it is written
FOLD_SEED = 0  # the same folds for every run, so that runs can be compared
SELECTION_FOLDS = 8  # an eighth of a fold's training patients selects its epochs, the paper's share of validation


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
        File of starting weights, see `checkpoint.initialise`.
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


def train(plan: Plan, config: TrainConfig, run: Path, resume: bool) -> None:
    """Train, predict the held-out images, and write weights, document and predictions to the run folder.

    Raises
    ------
    TrainingError
        Data, weights or configuration do not fit, or the folder contains another run.
    """
    if bool(plan.teachers) != bool(config.distil):
        raise TrainingError("--teacher and --distil must be given together")
    _ = config.network  # raises before anything is written or read
    labels = joined_labels(plan.folders)
    architecture = checkpoint.with_scale_of(config.network_for(labels), plan.init)
    fabric = create_fabric_for(config)
    if fabric.node_rank == fabric.local_rank == 0:
        claim(run, plan, config, labels, resume)
    if (run / checkpoint.DOCUMENT).is_file():
        fabric.print(f"{run}: finished")
        return
    # Before the other processes start, so that an error is reported once and the others find the canvases in the cache.
    if plan.init and fabric.local_rank == 0:
        initialise_network(Agcnn(architecture), plan.init, config, labels)
    first = load_data(plan, config) if fabric.local_rank == 0 else None
    fabric.launch()
    if config.threads:
        torch.set_num_threads(config.threads)
    data = first or load_data(plan, config)
    torch.manual_seed(config.seed)
    network, used = Agcnn(architecture), split_for_selection(data, plan, config)
    start_at_prevalence(network, Loss(used.train.targets, config).targets.numpy())
    if plan.init:
        unmatched = initialise_network(network, plan.init, config, labels)
        fabric.print(f"{plan.init}: {len(unmatched)} names did not match", *unmatched, sep="\n  ")
    if data.held_out is not None and (known := earlier_patients(run).intersection(data.held_out.patients)):
        fabric.print(f"held-out patients on whom --init or --teacher was trained, excluded from scores: {len(known)}")
    untrained = untrained_labels(used.train, [*([plan.init.parent] if plan.init else []), *plan.teachers])
    if config.distil:
        used = replace(used, train=distil_targets(fabric, used.train, plan.teachers, config.distil))
    history = fit(fabric, network, used, config, run)
    document = {
        "config": asdict(config),
        "labels": labels,
        "untrained": untrained,
        "training_data": [*earlier_training_data(plan.init, plan.teachers), data_entry(used.train, config)],
        "history": [asdict(epoch) for epoch in history],
    }
    if data.held_out is not None:
        predicted = predictions.predict_distributed(fabric, as_served(network), data.held_out)
        if fabric.is_global_zero:
            predictions.save(run / PART, predicted)
            (run / PART).replace(run / HELD_OUT)
    if fabric.is_global_zero:
        checkpoint.save(run, network, document)
    fabric.barrier()
    fabric.print(f"{run}: finished")


def claim(run: Path, plan: Plan, config: TrainConfig, labels: Sequence[str], resume: bool) -> None:
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
    places: dict[str, Any] = {"data": plan.data.resolve(), "init": plan.init and plan.init.resolve()}
    places["teachers"] = [teacher.resolve() for teacher in plan.teachers]
    if plan.without:
        places["without"] = plan.without.resolve()
    if plan.further:
        places["further"] = [folder.resolve() for folder in plan.further]
    if plan.uncertain != "ignore":
        places["uncertain"] = plan.uncertain
    choices = {"split": plan.split, "fold": plan.fold, "labels": labels}
    planned = checkpoint.plain({"config": asdict(config), **choices, **places})
    if not (run / PLAN).is_file() or not any((run / left).is_file() for left in (LAST, checkpoint.DOCUMENT)):
        return checkpoint.write_json(run / PLAN, planned)
    if not resume:
        raise TrainingError(f"{run} contains a run already: resume it with --resume, or choose another --out")
    if changed := changed_names(flatten(checkpoint.read_json(run / PLAN)), flatten(planned)):
        where = f"{run / PLAN} has another configuration ({', '.join(changed)})"
        raise TrainingError(f"{where}: a run can only be resumed with its own")
    return None


def flatten(planned: dict[str, Any]) -> dict[str, Any]:
    """Merge a plan and its configuration into one table, without `workers`, which do not change the result."""
    table = {"labels": list(LABELS), **planned, **planned["config"]}  # of ChestX-ray14 in plans of older versions
    return {name: value for name, value in table.items() if name not in ("config", "workers")}


def changed_names(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    """Return the names whose values differ, sorted."""
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def initialise_network(network: Agcnn, init: Path, config: TrainConfig, labels: Sequence[str] = LABELS) -> list[str]:
    """Load the starting weights into a network, in place; returns the names that did not match.

    A published trunk goes into the local branch too, unless the local branch is to be copied from the global one.
    """
    unmatched = checkpoint.initialise(network, init, labels)
    whole = any(name.startswith("global_branch.") for name in checkpoint.read_state(init))
    if config.second_look == "init" and not whole:
        network.local_branch.features.load_state_dict(network.global_branch.features.state_dict())
    return unmatched


def load_data(plan: Plan, config: TrainConfig) -> Data:
    """Read, through the cache, the images to train on and to score on.

    Raises
    ------
    TrainingError
        The data do not fit, or there are too few patients for the folds.
    """
    if plan.fold:
        both = plan.canvases("train+val", config.canvas_size)
        chosen, rest = fold(both, *plan.fold, FOLD_SEED)
        train, held_out = both.subset(chosen), both.subset(rest)
        if not (len(train) and len(held_out)):
            raise TrainingError(f"fold: {len(set(both.patients))} patients are too few for {plan.fold[1]} folds")
        return Data(without(train, plan), held_out)
    splits = ("train+val",) if plan.split == "train+val" else (plan.split, "val")
    parts = [plan.canvases(split, config.canvas_size) for split in splits]
    return Data(without(parts[0], plan), parts[1] if len(parts) > 1 else None)


def without(images: Canvases, plan: Plan) -> Canvases:
    """Exclude the images of patients in the folder `plan.without`."""
    if plan.without is None:
        return images
    others = all_patients(plan.without)
    chosen = images.subset(np.flatnonzero([patient not in others for patient in images.patients]))
    if not len(chosen):
        raise TrainingError(f"--without {plan.without}: no image is left to train on")
    return replace(chosen, name=f"{images.name} without {plan.without.resolve().name}")


def split_for_selection(data: Data, plan: Plan, config: TrainConfig) -> Data:
    """Return the images to train on, and those by which epochs are selected.

    A fold's held-out images are scored and calibrated on afterwards, so they must not select epochs. Some of the
    fold's training patients do that instead.
    """
    if config.select == "last":
        return replace(data, held_out=None)
    if plan.fold is None:
        return data
    rest, chosen = fold(data.train, 0, SELECTION_FOLDS, FOLD_SEED)
    return Data(data.train.subset(rest), data.train.subset(chosen))


def data_entry(images: Canvases, config: TrainConfig) -> dict[str, Any]:
    """Return the card's entry for the training data of a run."""
    role = "stages " + ", ".join(config.stages)
    return {"name": images.name, "images": len(images), "patients": len(set(images.patients)), "role": role}
