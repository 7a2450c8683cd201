"""One training run from data on disk to a finished run folder."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model.agcnn import Agcnn
from training import checkpoint, predictions
from training.cache import Canvases
from training.config import TrainConfig
from training.errors import TrainingError
from training.fit import Data, fit, launched
from training.folding import as_served
from training.order import fold
from training.sources import canvases
from training.stages import start_at_prevalence

PLAN = "plan.json"
HELD_OUT = "held_out.npz"
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
        Weights to begin from, .npz or .safetensors.
    """

    data: Path
    cache: Path
    split: str = "train"
    fold: tuple[int, int] | None = None
    init: Path | None = None


def train(plan: Plan, config: TrainConfig, run: Path, resume: bool) -> None:
    """Train, score what was held out, and leave weights, document and predictions in the run folder.

    Raises
    ------
    TrainingError
        Data, weights or configuration do not fit, or the folder holds another run.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric = launched(config)
    if fabric.is_global_zero:
        claim(run, plan, config, resume)
    fabric.barrier()
    if (run / checkpoint.DOCUMENT).is_file():
        return
    torch.manual_seed(config.seed)
    with fabric.rank_zero_first():
        data = gather(plan, config)
    network = Agcnn(config.network)
    start_at_prevalence(network, data.train.targets)
    if plan.init:
        checkpoint.initialise(network, plan.init)
    seen = data if config.select == "best" else replace(data, held_out=None)
    history = fit(fabric, network, seen, config, run)
    document = {
        "config": asdict(config),
        "training_data": [*inherited(plan.init), described(data.train, config)],
        "history": [asdict(epoch) for epoch in history],
    }
    if fabric.is_global_zero:
        if data.held_out is not None:
            predictions.save(run / HELD_OUT, predictions.predict(as_served(network), data.held_out))
        checkpoint.save(run, network, document)
    fabric.barrier()


def claim(run: Path, plan: Plan, config: TrainConfig, resume: bool) -> None:
    """Make the run folder, or see that the one there is of the same plan."""
    run.mkdir(parents=True, exist_ok=True)
    places = {"data": plan.data.resolve(), "init": plan.init and plan.init.resolve()}
    wanted = checkpoint.plain({"config": asdict(config), "split": plan.split, "fold": plan.fold, **places})
    if not (run / PLAN).is_file():
        return checkpoint.write_json(run / PLAN, wanted)
    if not resume:
        raise TrainingError(f"{run} holds a run already: --resume goes on with it, another --out begins anew")
    if checkpoint.read_json(run / PLAN) != wanted:
        raise TrainingError(f"{run / PLAN} is of another configuration: a run can only go on as it began")
    return None


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


def inherited(init: Path | None) -> list[dict[str, Any]]:
    """The card's entries for what the starting weights were trained on, where a run of ours made them."""
    if init is None or not (init.parent / checkpoint.DOCUMENT).is_file():
        return []
    entries = checkpoint.read_json(init.parent / checkpoint.DOCUMENT)["training_data"]
    return [{**entry, "role": "pretraining, " + entry["role"].removeprefix("pretraining, ")} for entry in entries]
