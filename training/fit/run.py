"""One training run from data on disk to a finished run folder."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.order import fold
from training.data.sources import canvases
from training.errors import TrainingError
from training.evaluation import predictions
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.distillation import distilled
from training.fit.lineage import PLAN, patients_of, patients_seen_before, seen_before
from training.fit.loop import LAST, Data, devices, fit
from training.fit.loss import Loss
from training.fit.served_weights import as_served
from training.fit.stages import start_at_prevalence

HELD_OUT = "held_out.npz"
PART = "held_out.part.npz"  # on its way to be HELD_OUT
FOLD_SEED = 0  # the folds are the same for every run, so that runs can be compared
CHOOSERS = 8  # one patient in so many of a fold's chooses its epochs, as validation is to training in the paper


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
    without
        Another folder of data, whose patients are not trained on: those that a later run on it is to be scored on.
    """

    data: Path
    cache: Path
    split: str = "train"
    fold: tuple[int, int] | None = None
    init: Path | None = None
    teachers: tuple[Path, ...] = ()
    without: Path | None = None


def train(plan: Plan, config: TrainConfig, run: Path, resume: bool) -> None:
    """Train, score what was held out, and leave weights, document and predictions in the run folder.

    Raises
    ------
    TrainingError
        Data, weights or configuration do not fit, or the folder holds another run.
    """
    if bool(plan.teachers) != bool(config.distil):
        raise TrainingError("--teacher and --distil: one says from whom, the other how much; wanted both or none")
    architecture = config.network  # refused before anything is written
    fabric = devices(config)
    if fabric.node_rank == fabric.local_rank == 0:
        claim(run, plan, config, resume)
    if (run / checkpoint.DOCUMENT).is_file():
        fabric.print(f"{run}: finished")
        return
    # Before the other processes start: what is wrong with the data is said once, and they find the canvases read.
    if plan.init and fabric.local_rank == 0:
        begun(Agcnn(architecture), plan.init, config)
    first = gather(plan, config) if fabric.local_rank == 0 else None
    fabric.launch()
    if config.threads:
        torch.set_num_threads(config.threads)
    data = first or gather(plan, config)
    torch.manual_seed(config.seed)
    network, seen = Agcnn(architecture), watched(data, plan, config)
    start_at_prevalence(network, Loss(seen.train.targets, config).targets.numpy())
    if plan.init:
        unmatched = begun(network, plan.init, config)
        fabric.print(f"{plan.init}: {len(unmatched)} names did not match", *unmatched, sep="\n  ")
    if data.held_out is not None and (known := patients_seen_before(run).intersection(data.held_out.patients)):
        fabric.print(f"patients held out whom --init or --teacher had seen, and who will not count: {len(known)}")
    if config.distil:
        seen = replace(seen, train=distilled(fabric, seen.train, plan.teachers, config.distil))
    history = fit(fabric, network, seen, config, run)
    document = {
        "config": asdict(config),
        "training_data": [*seen_before(plan.init, plan.teachers), described(seen.train, config)],
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
    """Make the run folder, or see that the one there is of the same plan; one that trained nothing yet may change."""
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{run}: {error.strerror}") from error
    places: dict[str, Any] = {"data": plan.data.resolve(), "init": plan.init and plan.init.resolve()}
    places["teachers"] = [teacher.resolve() for teacher in plan.teachers]
    if plan.without:
        places["without"] = plan.without.resolve()
    wanted = checkpoint.plain({"config": asdict(config), "split": plan.split, "fold": plan.fold, **places})
    if not (run / PLAN).is_file() or not any((run / left).is_file() for left in (LAST, checkpoint.DOCUMENT)):
        return checkpoint.write_json(run / PLAN, wanted)
    if not resume:
        raise TrainingError(f"{run} holds a run already: --resume goes on with it, another --out begins anew")
    if changed := differing(flat(checkpoint.read_json(run / PLAN)), flat(wanted)):
        where = f"{run / PLAN} is of another configuration ({', '.join(changed)})"
        raise TrainingError(f"{where}: a run can only go on as it began")
    return None


def flat(planned: dict[str, Any]) -> dict[str, Any]:
    """A plan and its configuration as one table, without the loader's workers: they change no tensor."""
    table = {**planned, **planned["config"]}
    return {name: value for name, value in table.items() if name not in ("config", "workers")}


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names that have not the same value in both."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


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
        chosen, rest = fold(both, *plan.fold, FOLD_SEED)
        train, held_out = both.subset(chosen), both.subset(rest)
        if not (len(train) and len(held_out)):
            raise TrainingError(f"fold: {len(set(both.patients))} patients are too few for {plan.fold[1]} folds")
        return Data(without(train, plan), held_out)
    splits = ("train+val",) if plan.split == "train+val" else (plan.split, "val")
    found = [canvases(plan.data, split, config.canvas_size, plan.cache) for split in splits]
    return Data(without(found[0], plan), found[1] if len(found) > 1 else None)


def without(images: Canvases, plan: Plan) -> Canvases:
    """The images of patients who are not in the folder that is to be left out."""
    if plan.without is None:
        return images
    others = patients_of(plan.without)
    chosen = images.subset(np.flatnonzero([patient not in others for patient in images.patients]))
    if not len(chosen):
        raise TrainingError(f"without {plan.without}: no image is left to train on")
    return replace(chosen, name=f"{images.name} without {plan.without.resolve().name}")


def watched(data: Data, plan: Plan, config: TrainConfig) -> Data:
    """What a run learns from, and chooses its epochs by.

    What a fold holds out is scored afterwards, and calibrated on: it chooses nothing. Some of the others' patients do.
    """
    if config.select == "last":
        return replace(data, held_out=None)
    if plan.fold is None:
        return data
    rest, chosen = fold(data.train, 0, CHOOSERS, FOLD_SEED)
    return Data(data.train.subset(rest), data.train.subset(chosen))


def described(images: Canvases, config: TrainConfig) -> dict[str, Any]:
    """The card's entry for what a run trained on."""
    role = "stages " + ", ".join(config.stages)
    return {"name": images.name, "images": len(images), "patients": len(set(images.patients)), "role": role}
