"""The training loop: one, over the stages, in plain sight.

Whatever is random derives from (seed, stage, epoch, place in the epoch), and one file, written whole, holds all that an
epoch leaves: so a run that was killed at any moment, and goes on at its last epoch, ends with the same tensors.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.loader import load
from training.data.order import Indices, epoch_order
from training.errors import TrainingError
from training.evaluation.scoring import logits, macro_auroc, reduced
from training.fit import checkpoint
from training.fit.config import STAGES, Precision, TrainConfig
from training.fit.learner import Learner, unwrapped
from training.fit.logs import Epoch, Logs
from training.fit.loss import Loss
from training.fit.optimiser import rate
from training.fit.stages import Stage, stages

LAST = "last.ckpt"
SHOWN = 10  # steps between two looks at the loss: each look waits for the device


@dataclass(frozen=True)
class Data:
    """What a run learns from, and what it is scored on after every epoch; None for nothing."""

    train: Canvases
    held_out: Canvases | None


def devices(config: TrainConfig) -> Fabric:
    """The processes of a run, not started yet: one for each device of each machine.

    Raises
    ------
    TrainingError
        There are not so many devices, or none that has this precision.
    """
    if config.precision == "16-mixed" and not torch.cuda.is_available():
        raise TrainingError("precision: 16-mixed wants a GPU, and there is none; bf16-mixed and 32-true need none")
    return processes(config.devices, config.num_nodes, config.precision)


def processes(count: int, num_nodes: int = 1, precision: Precision = "32-true") -> Fabric:
    """On NVIDIA's or AMD's GPUs where there are any, else on the processor: Apple's GPU has no float64."""
    try:
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        return Fabric(accelerator=accelerator, devices=count, num_nodes=num_nodes, precision=precision)
    except MisconfigurationException as error:
        raise TrainingError(f"devices: {error}".partition("\n")[0]) from error


def fit(fabric: Fabric, network: Agcnn, data: Data, config: TrainConfig, run: Path) -> list[Epoch]:
    """Train the stages one after the other, in place; go on from the run folder's last epoch if it has one."""
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with progress_bar(fabric.global_rank > 0) as progress:
        loop = Loop(fabric, config, run, progress)
        for stage in stages(config):
            loop.train(network, stage, data)
    if loop.logs:
        loop.logs.close()
    return loop.history


def progress_bar(hidden: bool) -> Progress:
    """Where a run is: steps, time left, speed and loss of the epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[now]}"), transient=True, disable=hidden)


class Loop:
    """What lives as long as a run: devices, folder, progress bar, logs, history."""

    def __init__(self, fabric: Fabric, config: TrainConfig, run: Path, progress: Progress) -> None:
        self.fabric, self.config, self.run, self.progress = fabric, config, run, progress
        self.saved: dict[str, Any] | None = checkpoint.load_state(run / LAST)
        self.history = [Epoch(**record) for record in self.saved["history"]] if self.saved else []
        self.logs = Logs(run, len(self.history)) if fabric.is_global_zero else None

    def train(self, network: Agcnn, stage: Stage, data: Data) -> None:
        """Train one stage and leave the network with that stage's selected weights."""
        if self.is_behind(stage):
            return
        train = data.train.reduced(stage.canvas_size)
        held_out = data.held_out and data.held_out.reduced(stage.canvas_size)
        loss = Loss(data.train.targets, self.config, self.fabric.device)
        stage.start(network)
        learner = Learner(self.fabric, network, stage, self.config)
        for epoch in range(self.begin(learner), stage.epochs):
            started = perf_counter()
            mean, learning_rate = self.epoch(learner, train, loss, epoch)
            speed = round(len(train) / (perf_counter() - started), 1)
            with learner.averaged():
                score = None if held_out is None else self.score(learner, held_out)
                self.history.append(Epoch(stage.name, epoch, mean, score, speed, learning_rate))
                if self.config.select == "last" or self.history[-1] is best(self.history, stage.name):
                    learner.select()
                self.log(network, data.held_out)
            self.keep(learner)
        learner.finish()
        if self.fabric.is_global_zero:
            checkpoint.save_weights(self.run / f"{stage.name}.safetensors", network)

    def is_behind(self, stage: Stage) -> bool:
        """Whether a stage after this one has begun: what is saved of that one holds this one's weights."""
        return bool(self.history) and STAGES.index(stage.name) < STAGES.index(self.history[-1].stage)

    def begin(self, learner: Learner) -> int:
        """The first epoch to train; the learner as it was before it."""
        done = [record for record in self.history if record.stage == learner.stage.name]
        if self.saved and done:
            learner.restore(self.saved)
            self.saved = None
        return len(done)

    def epoch(self, learner: Learner, train: Canvases, loss: Loss, epoch: int) -> tuple[float, float]:
        """One pass over the training images; returns the mean loss and the last learning rate."""
        stage, device = learner.stage, self.fabric.device
        seed = (self.config.seed, STAGES.index(stage.name), epoch)
        batches = self.batches(epoch_order(train, seed, self.config.balance), stage.batch_size)
        task = self.progress.add_task(f"{stage.name} {epoch + 1}/{stage.epochs}", total=len(batches), now="")
        total = torch.zeros(2, dtype=torch.float64, device=device)
        learning_rate, started = 0.0, perf_counter()
        learner.view.train()
        loaded = load(train, batches, seed, self.config.augmentation, self.config.workers)
        for step, (canvas, target) in enumerate(loaded):
            number = epoch * len(batches) + step
            learning_rate = stage.learning_rate * rate(self.config, number, stage.epochs * len(batches), epoch)
            found = learner.view(canvas.to(device, non_blocking=True))
            lost, known = loss(found, target.to(device, non_blocking=True))
            total += torch.stack([lost.detach(), known]).double()
            learner.step(lost / self.share(known), learning_rate, number)
            self.progress.advance(task)
            if step % SHOWN == 0 and not self.progress.disable:
                speed = (step + 1) * stage.batch_size * self.fabric.world_size / (perf_counter() - started)
                self.progress.update(task, now=f"{speed:.0f} images/s  loss {(total[0] / total[1]).item():.4f}")
        self.progress.remove_task(task)
        learner.agree()
        lost_in_all, known_in_all = reduced(self.fabric, total, "sum").tolist()
        if not isfinite(lost_in_all):
            advice = "a lower rate (--rates) or --precision 32-true may help"
            raise TrainingError(f"{stage.name}, epoch {epoch + 1}: the loss is no longer a number; {advice}")
        return lost_in_all / max(1, known_in_all), learning_rate

    def share(self, known: Tensor) -> Tensor:
        """What to divide each process's loss by, so that the gradients' mean is that of the mean over all targets."""
        return reduced(self.fabric, known.float(), "mean").clamp(min=1 / self.fabric.world_size)

    def batches(self, order: Indices, size: int) -> list[tuple[Indices, Indices]]:
        """(places in the epoch, indices) of each step of this process; every process has the same number of steps.

        An image that would be left over alone joins the last batch: a batch norm has nothing to go by in one.
        """
        places = np.arange(len(order))[self.fabric.global_rank :: self.fabric.world_size]
        places = places[: len(order) // self.fabric.world_size]
        return [(chunk, order[chunk]) for chunk in np.split(places, range(size, len(places) - 1, size))]

    def score(self, learner: Learner, held_out: Canvases) -> float | None:
        """Macro AUROC of the stage's logits; None where no label is defined."""
        view = unwrapped(learner.view)
        view.eval()
        return macro_auroc(logits(self.fabric, view, held_out), held_out.targets)

    def log(self, network: Agcnn, held_out: Canvases | None) -> None:
        """Log the epoch, before it is saved: what is logged twice counts once, what is not logged is lost."""
        if self.logs:
            self.logs.numbers(self.history)
            if held_out is not None:
                self.logs.pictures(network, held_out, len(self.history) - 1)
            self.progress.console.print(line(self.history[-1]))

    def keep(self, learner: Learner) -> None:
        """Write, in one file and whole or not at all, what a resumed run needs."""
        if self.fabric.is_global_zero:
            history = [asdict(record) for record in self.history]
            checkpoint.save_state(self.run / LAST, {**learner.state(), "history": history})
        self.fabric.barrier()


def best(history: Sequence[Epoch], stage: str) -> Epoch:
    """The first epoch of highest AUROC; the last one where there is none."""
    records = [record for record in history if record.stage == stage]
    scored = [record for record in records if record.auroc is not None]
    return max(scored, key=lambda record: record.auroc or 0) if scored else records[-1]


def line(record: Epoch) -> str:
    """One epoch in words."""
    score = "" if record.auroc is None else f"  AUROC {record.auroc:.3f}"
    speed = f"{record.images_per_second:.0f} images/s"
    return f"{record.stage} {record.epoch + 1}  loss {record.loss:.4f}{score}  {speed}"
