"""The training loop over the stages.

All randomness derives from (seed, stage, epoch, place in the epoch), and the state after an epoch is one file, written
atomically. So a run that was killed at any moment and resumed at its last epoch ends with the same tensors.
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
from training.data.loader import augmented, load
from training.data.order import Indices, epoch_order
from training.errors import TrainingError
from training.evaluation.inference import all_reduce, logits, macro_auroc
from training.fit import checkpoint
from training.fit.config import STAGES, Precision, TrainConfig
from training.fit.learner import Learner, unwrapped
from training.fit.logs import Epoch, Logs
from training.fit.loss import Loss
from training.fit.optimiser import rate
from training.fit.stages import Stage, stages

LAST = "last.ckpt"
SHOWN = 10  # steps between updates of the displayed loss, each of which waits for the device


@dataclass(frozen=True)
class Data:
    """Images that a run is trained on, and those that it is scored on after every epoch; None for none."""

    train: Canvases
    held_out: Canvases | None


def create_fabric_for(config: TrainConfig) -> Fabric:
    """Create the Fabric of a run: one process for each device of each machine, not started yet.

    Raises
    ------
    TrainingError
        There are not enough devices, or they do not support the precision.
    """
    if config.precision == "16-mixed" and not torch.cuda.is_available():
        raise TrainingError("precision: 16-mixed requires a GPU; without one, use bf16-mixed or 32-true")
    return create_fabric(config.devices, config.num_nodes, config.precision)


def create_fabric(count: int, num_nodes: int = 1, precision: Precision = "32-true") -> Fabric:
    """Create a Fabric on NVIDIA or AMD GPUs if there are any, else on the processor; Apple's GPUs lack float64."""
    try:
        accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        return Fabric(accelerator=accelerator, devices=count, num_nodes=num_nodes, precision=precision)
    except MisconfigurationException as error:
        raise TrainingError(f"devices: {error}".partition("\n")[0]) from error


def fit(fabric: Fabric, network: Agcnn, data: Data, config: TrainConfig, run: Path) -> list[Epoch]:
    """Train the stages in order, in place, continuing after the last epoch saved in the run folder."""
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with progress_bar(fabric.global_rank > 0) as progress:
        loop = Loop(fabric, config, run, progress)
        for stage in stages(config):
            loop.train(network, stage, data)
    if loop.logs:
        loop.logs.close()
    return loop.history


def progress_bar(hidden: bool) -> Progress:
    """Create the progress bar of a run: steps, time left, speed and loss of the epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[now]}"), transient=True, disable=hidden)


class Loop:
    """The state of a run over all stages: devices, folder, progress bar, logs, history."""

    def __init__(self, fabric: Fabric, config: TrainConfig, run: Path, progress: Progress) -> None:
        self.fabric, self.config, self.run, self.progress = fabric, config, run, progress
        self.saved: dict[str, Any] | None = checkpoint.load_state(run / LAST)
        self.history = [Epoch(**record) for record in self.saved["history"]] if self.saved else []
        self.logs = Logs(run, len(self.history)) if fabric.is_global_zero else None

    def train(self, network: Agcnn, stage: Stage, data: Data) -> None:
        """Train one stage and load its selected weights into the network."""
        if self.is_finished(stage):
            return
        train = data.train.reduced(stage.canvas_size)
        held_out = data.held_out and data.held_out.reduced(stage.canvas_size)
        loss = Loss(data.train.targets, self.config, self.fabric.device)
        stage.start(network)
        learner = Learner(self.fabric, network, stage, self.config)
        for epoch in range(self.restore(learner), stage.epochs):
            started = perf_counter()
            mean, learning_rate = self.epoch(learner, train, loss, epoch)
            speed = round(len(train) / (perf_counter() - started), 1)
            with learner.averaged():
                score = None if held_out is None else self.score(learner, held_out)
                self.history.append(Epoch(stage.name, epoch, mean, score, speed, learning_rate))
                if self.config.select == "last" or self.history[-1] is best(self.history, stage.name):
                    learner.select()
                self.log(network, data.held_out)
            self.save(learner)
        learner.finish()
        if self.fabric.is_global_zero:
            checkpoint.save_weights(self.run / f"{stage.name}.safetensors", network)

    def is_finished(self, stage: Stage) -> bool:
        """Return whether a later stage has begun, whose saved state includes this stage's weights."""
        return bool(self.history) and STAGES.index(stage.name) < STAGES.index(self.history[-1].stage)

    def restore(self, learner: Learner) -> int:
        """Restore the learner to the last saved epoch of its stage, and return the first epoch to train."""
        done = [record for record in self.history if record.stage == learner.stage.name]
        if self.saved and done:
            learner.restore(self.saved)
            self.saved = None
        return len(done)

    def epoch(self, learner: Learner, train: Canvases, loss: Loss, epoch: int) -> tuple[float, float]:
        """Train for one pass over the images; returns the mean loss and the last learning rate."""
        stage, device = learner.stage, self.fabric.device
        seed = (self.config.seed, STAGES.index(stage.name), epoch)
        batches = self.batches(epoch_order(train, seed, self.config.balance), stage.batch_size)
        task = self.progress.add_task(f"{stage.name} {epoch + 1}/{stage.epochs}", total=len(batches), now="")
        total = torch.zeros(2, dtype=torch.float64, device=device)
        learning_rate, started = 0.0, perf_counter()
        learner.view.train()
        loaded = load(train, batches, seed, self.config.augmentation, self.config.workers)
        for step, batch in enumerate(loaded):
            number = epoch * len(batches) + step
            learning_rate = stage.learning_rate * rate(self.config, number, stage.epochs * len(batches), epoch)
            canvas, target = augmented(batch, train.factor, device)
            batch_loss, known = loss(learner.view(canvas), target)
            total += torch.stack([batch_loss.detach(), known]).double()
            learner.step(batch_loss / self.divisor(known), learning_rate, number)
            self.progress.advance(task)
            if step % SHOWN == 0 and not self.progress.disable:
                speed = (step + 1) * stage.batch_size * self.fabric.world_size / (perf_counter() - started)
                self.progress.update(task, now=f"{speed:.0f} images/s  loss {(total[0] / total[1]).item():.4f}")
        self.progress.remove_task(task)
        learner.synchronise_statistics()
        total_loss, total_known = all_reduce(self.fabric, total, "sum").tolist()
        if not isfinite(total_loss):
            advice = "try a lower rate (--rates) or --precision 32-true"
            raise TrainingError(f"{stage.name}, epoch {epoch + 1}: the loss is not finite; {advice}")
        return total_loss / max(1, total_known), learning_rate

    def divisor(self, known: Tensor) -> Tensor:
        """Return the divisor `[]` of a process's loss, so that the mean gradient is that of the mean over all targets.

        Parameters
        ----------
        known
            Number `[]` of known targets in the process's batch.
        """
        return all_reduce(self.fabric, known.float(), "mean").clamp(min=1 / self.fabric.world_size)

    def batches(self, order: Indices, size: int) -> list[tuple[Indices, Indices]]:
        """Return places in the epoch and indices, `[b] int64` each, of every step of this process.

        Every process has the same number of steps. A single last image joins the batch before it, as a batch norm needs
        more than one.
        """
        places = np.arange(len(order))[self.fabric.global_rank :: self.fabric.world_size]
        places = places[: len(order) // self.fabric.world_size]
        return [(chunk, order[chunk]) for chunk in np.split(places, range(size, len(places) - 1, size))]

    def score(self, learner: Learner, held_out: Canvases) -> float | None:
        """Return the macro AUROC of the stage's logits; None if it is undefined for all labels."""
        view = unwrapped(learner.view)
        view.eval()
        return macro_auroc(logits(self.fabric, view, held_out), held_out.targets)

    def log(self, network: Agcnn, held_out: Canvases | None) -> None:
        """Log the epoch before it is saved: after a crash in between, the epoch is trained and logged again."""
        if self.logs:
            self.logs.numbers(self.history)
            if held_out is not None:
                self.logs.pictures(network, held_out, len(self.history) - 1)
            self.progress.console.print(line(self.history[-1]))

    def save(self, learner: Learner) -> None:
        """Write the state that a resumed run needs, atomically, as one file."""
        if self.fabric.is_global_zero:
            history = [asdict(record) for record in self.history]
            checkpoint.save_state(self.run / LAST, {**learner.state(), "history": history})
        self.fabric.barrier()


def best(history: Sequence[Epoch], stage: str) -> Epoch:
    """Return the first epoch of highest AUROC; the last epoch if there is no AUROC."""
    records = [record for record in history if record.stage == stage]
    scored = [record for record in records if record.auroc is not None]
    return max(scored, key=lambda record: record.auroc or 0) if scored else records[-1]


def line(record: Epoch) -> str:
    """Format one epoch for the console."""
    score = "" if record.auroc is None else f"  AUROC {record.auroc:.3f}"
    speed = f"{record.images_per_second:.0f} images/s"
    return f"{record.stage} {record.epoch + 1}  loss {record.loss:.4f}{score}  {speed}"
