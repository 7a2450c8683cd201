"""One training run from data on disk to a finished run folder."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model.agcnn import Agcnn
from training import checkpoint, predictions
from training.cache import Canvases
from training.config import TrainConfig
from training.distillation import distilled
from training.errors import TrainingError
from training.fit import Data, devices, fit
from training.folding import as_served
from training.loss import Loss
from training.order import fold
from training.sources import canvases
from training.stages import start_at_prevalence

PLAN = "plan.json"
HELD_OUT = "held_out.npz"
PART = "held_out.part.npz"  # on its way to be HELD_OUT
FOLD_SEED = 0  # the folds are the same for every run, so that runs can be compared


@dataclass(frozen=True)
class Plan:
    """What a run trains on and starts from.

    Attributes
    ----------
    split
        `train`, scored on `val`; or `train+val`, scored on nothing.
    fold
        (k, n) trains on all but the k-th of n patient-grouped parts of train + val, and is scored on that part.
    init
        Weights to begin from, as `checkpoint.initialise` reads them.
    teachers
        Folders of finished runs, whose word the targets take a share of.
    """

    data: Path
    cache: Path
    split: str = "train"
    fold: tuple[int, int] | None = None
    init: Path | None = None
    teachers: tuple[Path, ...] = ()


def train(plan: Plan, config: TrainConfig, run: Path, resume: bool) -> None:
    """Train, score what was held out, and leave weights, document and predictions in the run folder.

    Raises
    ------
    TrainingError
        Data, weights or configuration do not fit, or the folder holds another run.
    """
    if bool(plan.teachers) != bool(config.distil):
        raise TrainingError("--teacher and --distil: one says from whom, the other how much; wanted both or none")
    fabric = devices(config)
    if fabric.node_rank == fabric.local_rank == 0:
        claim(run, plan, config, resume)
    if (run / checkpoint.DOCUMENT).is_file():
        fabric.print(f"{run}: finished")
        return
    # Before the other processes start: what is wrong with the data is said once, and they find the canvases read.
    first = gather(plan, config) if fabric.local_rank == 0 else None
    fabric.launch()
    if config.threads:
        torch.set_num_threads(config.threads)
    data = first or gather(plan, config)
    torch.manual_seed(config.seed)
    network = Agcnn(config.network)
    start_at_prevalence(network, Loss(data.train.targets, config).targets.numpy())
    if plan.init:
        unmatched = begun(network, plan.init, config)
        fabric.print(f"{plan.init}: {len(unmatched)} names did not match", *unmatched, sep="\n  ")
    if config.distil:
        data = replace(data, train=distilled(fabric, data.train, plan.teachers, config.distil))
    seen = data if config.select == "best" else replace(data, held_out=None)
    history = fit(fabric, network, seen, config, run)
    document = {
        "config": asdict(config),
        "training_data": [*seen_before(plan), described(data.train, config)],
        "history": [asdict(epoch) for epoch in history],
    }
    if data.held_out is not None:
        found = predictions.dealt(fabric, as_served(network), data.held_out)
        if fabric.is_global_zero:
            predictions.save(run / PART, found)
            (run / PART).replace(run / HELD_OUT)
    if fabric.is_global_zero:
        checkpoint.save(run, network, document)
    fabric.barrier()
    fabric.print(f"{run}: finished")


def claim(run: Path, plan: Plan, config: TrainConfig, resume: bool) -> None:
    """Make the run folder, or see that the one there is of the same plan."""
    run.mkdir(parents=True, exist_ok=True)
    places: dict[str, Any] = {"data": plan.data.resolve(), "init": plan.init and plan.init.resolve()}
    places["teachers"] = [teacher.resolve() for teacher in plan.teachers]
    wanted = checkpoint.plain({"config": asdict(config), "split": plan.split, "fold": plan.fold, **places})
    if not (run / PLAN).is_file():
        return checkpoint.write_json(run / PLAN, wanted)
    if not resume:
        raise TrainingError(f"{run} holds a run already: --resume goes on with it, another --out begins anew")
    if checkpoint.read_json(run / PLAN) != wanted:
        raise TrainingError(f"{run / PLAN} is of another configuration: a run can only go on as it began")
    return None


def begun(network: Agcnn, init: Path, config: TrainConfig) -> list[str]:
    """Give a network its starting weights; returns the names that did not match.

    A published trunk goes into the local branch too, unless that is to be a copy of the global one later on.
    """
    unmatched = checkpoint.initialise(network, init)
    whole = any(name.startswith("global_branch.") for name in checkpoint.read_state(init))
    if config.second_look == "init" and not whole:
        network.local_branch.features.load_state_dict(network.global_branch.features.state_dict())
    return unmatched


def gather(plan: Plan, config: TrainConfig) -> Data:
    """Read, through the cache, what the plan trains and is scored on."""
    if plan.fold:
        both = canvases(plan.data, "train+val", config.canvas_size, plan.cache)
        train_part, held_out = fold(both, *plan.fold, FOLD_SEED)
        return Data(both.subset(train_part), both.subset(held_out))
    splits = ("train+val",) if plan.split == "train+val" else (plan.split, "val")
    found = [canvases(plan.data, split, config.canvas_size, plan.cache) for split in splits]
    return Data(found[0], found[1] if len(found) > 1 else None)


def described(images: Canvases, config: TrainConfig) -> dict[str, Any]:
    """The card's entry for what a run trained on."""
    role = "stages " + ", ".join(config.stages)
    return {"name": images.name, "images": len(images), "patients": len(set(images.patients)), "role": role}


def seen_before(plan: Plan) -> list[dict[str, Any]]:
    """The card's entries for what starting weights and teachers were trained on."""
    runs = [("pretraining", plan.init.parent)] if plan.init else []
    runs += [("teacher", teacher) for teacher in plan.teachers]
    return [entry for role, run in runs for entry in inherited(run, role)]


def inherited(run: Path, role: str) -> list[dict[str, Any]]:
    """The entries of one folder, with what they were for; none where no run of ours made it."""
    if not (run / checkpoint.DOCUMENT).is_file():
        return []
    entries = checkpoint.read_json(run / checkpoint.DOCUMENT)["training_data"]
    return [{**entry, "role": f"{role}, " + entry["role"].removeprefix(f"{role}, ")} for entry in entries]
