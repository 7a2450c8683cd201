"""One training run, from data on disk to a finished run folder."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model.agcnn import Agcnn
from model.labels import LABELS
from training.data.cache import Canvases
from training.data.examples import count_examples, missing_lines, require_examples
from training.data.order import fold
from training.data.sources import joined_labels
from training.errors import TrainingError
from training.evaluation import predictions
from training.fit import checkpoint, starting_weights
from training.fit.artefact_weights import MEASURED, SUFFIX, measure_batch_norms
from training.fit.claim import claim, precision_before
from training.fit.config import STAGES, TrainConfig
from training.fit.devices import (
    create_fabric_for,
    describe_devices,
    device_lines,
    end_connection,
    find_hardware,
    make_deterministic,
    with_precision,
)
from training.fit.distillation import distil_targets
from training.fit.lineage import (
    all_patients,
    earlier_patients,
    earlier_training_data,
    inherited_stages,
    require_global,
)
from training.fit.loop import Data, fit
from training.fit.loss import Loss
from training.fit.plan import Plan, check_tables, planned_document
from training.fit.served_weights import as_served
from training.fit.stages import PARTS, fill_untrained, start_at_prevalence
from training.fit.trained_labels import untrained_labels

HELD_OUT = "held_out.npz"
PART = "held_out.part.npz"  # HELD_OUT while it is written
FOLD_SEED = 0  # the same folds for every run, so that runs can be compared
SELECTION_FOLDS = 8  # an eighth of a fold's training patients selects its epochs, the paper's share of validation


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
    architecture = starting_weights.with_scale_of(config.network_for(labels), plan.init)
    if config.deterministic:
        make_deterministic()
    hardware = find_hardware(config.accelerator)
    config = with_precision(config, hardware, precision_before(run))
    fabric = create_fabric_for(config)
    if fabric.node_rank == fabric.local_rank == 0:
        claim(run, planned_document(plan, config, labels), resume)
    if (run / checkpoint.DOCUMENT).is_file():
        fabric.print(f"{run}: finished")
        return
    # Before the other processes start, so that an error is reported once and the others find the canvases in the cache.
    if fabric.local_rank == 0:
        if plan.init:
            initialise_network(Agcnn(architecture), plan.init, config, labels)
        for line in check_tables(plan, config):
            fabric.print(line)
    trained = require_global(config, inherited_stages(plan.init))
    first = load_data(plan, config) if fabric.local_rank == 0 else None
    fabric.launch()
    if config.threads:
        torch.set_num_threads(config.threads)
    fabric.print(*device_lines(config, hardware), sep="\n")
    data = first or load_data(plan, config)
    torch.manual_seed(config.seed)
    network, used = Agcnn(architecture), split_for_selection(data, plan, config)
    start_at_prevalence(network, Loss(used.train.targets, config).targets.numpy())
    if plan.init:
        unmatched = initialise_network(network, plan.init, config, labels)
        fabric.print(f"{plan.init}: {len(unmatched)} names did not match", *unmatched, sep="\n  ")
        if plan.init.suffix == SUFFIX:
            spread = np.linspace(0, len(used.train) - 1, min(MEASURED, len(used.train))).astype(np.int64)
            measure_batch_norms(network, used.train.read(spread))
    untrained = set(STAGES) - trained
    fill_untrained(network, untrained)
    if data.held_out is not None and (known := earlier_patients(run).intersection(data.held_out.patients)):
        fabric.print(f"held-out patients on whom --init or --teacher was trained, excluded from scores: {len(known)}")
    unseen = untrained_labels(used.train, [*([plan.init] if plan.init else []), *plan.teachers])
    if config.distil:
        used = replace(used, train=distil_targets(fabric, used.train, plan.teachers, config.distil))
    examples = count_examples(used.train.targets, used.train.labels)
    require_examples(examples, used.train.name)
    for line in missing_lines(examples, used.train.name):
        fabric.print(line)
    history = fit(fabric, network, used, config, run, untrained)
    document = {
        "config": asdict(config),
        "labels": labels,
        "untrained": unseen,
        "trained": [stage for stage in STAGES if stage in trained],
        "devices": describe_devices(config, hardware),
        "examples": {label: asdict(counts) for label, counts in examples.items()},
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
    end_connection(fabric)
    fabric.print(f"{run}: finished")


def initialise_network(network: Agcnn, init: Path, config: TrainConfig, labels: Sequence[str] = LABELS) -> list[str]:
    """Load the starting weights into a network, in place; returns the names that did not match.

    A published trunk goes into the local branch too, unless the local branch is to be copied from the global one. The
    parts that a network without a second look lacks begin as the global branch.
    """
    unmatched = starting_weights.initialise(network, init, labels)
    parts = {name.partition(".")[0] for name in checkpoint.read_state(init)}
    if PARTS["global"] in parts:
        missing = {stage: part for stage, part in PARTS.items() if part not in parts}
        fill_untrained(network, missing)
        named = [name for name in unmatched if name.partition(".")[0] not in missing.values()]
        return named + [f"{part}, which begins as the global branch" for part in missing.values()]
    if config.second_look == "init":
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
    """Return the images to train on, and those that are scored after every epoch and may select one.

    A fold's held-out images are calibrated on and scored afterwards, so they must not select epochs: neither the
    program nor a person who sees their scores rise and fall. Some of the fold's training patients do that instead, if
    epochs are selected; else nothing is scored. The validation list is always scored.
    """
    if plan.fold is None:
        return data
    if config.select == "last":
        return replace(data, held_out=None)
    rest, chosen = fold(data.train, 0, SELECTION_FOLDS, FOLD_SEED)
    return Data(data.train.subset(rest), data.train.subset(chosen))


def data_entry(images: Canvases, config: TrainConfig) -> dict[str, Any]:
    """Return the card's entry for the training data of a run."""
    role = "stages " + ", ".join(config.stages)
    return {"name": images.name, "images": len(images), "patients": len(set(images.patients)), "role": role}
