"""The training loop over the stages.

All randomness derives from (seed, stage, epoch, place in the epoch), and the state after an epoch is one file, written
atomically. So a run that was killed at any moment and resumed at its last epoch ends with the same tensors.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from torch import Tensor

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.data.loader import augmented, load
from training.data.order import Indices, epoch_order
from training.errors import TrainingError
from training.evaluation.inference import all_reduce, logits, macro_auroc
from training.fit import checkpoint
from training.fit.config import STAGES, TrainConfig
from training.fit.learner import Learner, unwrapped
from training.fit.logs import Epoch, Logs
from training.fit.loss import Loss
from training.fit.optimiser import rate
from training.fit.pooled import PooledVectors
from training.fit.stages import Stage, fill_untrained, stages
from training.fit.time_left import epoch_work, format_left, total_work
from training.progress import progress_bar

LAST = "last.ckpt"
SHOWN = 10  # steps between updates of the displayed loss, each of which waits for the device
PERIOD = 600.0  # seconds over which the speed is averaged for the time left; several epochs of a short stage


@dataclass(frozen=True)
class Data:
    """Images that a run is trained on, and those that it is scored on after every epoch; None for none."""

    train: Canvases
    held_out: Canvases | None


def fit(
    fabric: Fabric,
    network: Agcnn,
    data: Data,
    config: TrainConfig,
    run: Path,
    untrained: Collection[str] = (),
) -> list[Epoch]:
    """Train the stages in order, in place, continuing after the last epoch saved in the run folder.

    Parameters
    ----------
    untrained
        Stages of which the network has neither learned before nor learns now, see `fill_untrained`.
    """
    network.to(fabric.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    with run_bar(fabric.global_rank > 0) as progress:
        loop = Loop(fabric, config, run, progress, untrained)
        loop.expect(stages(config), data)
        for stage in stages(config):
            loop.train(network, stage, data)
    if loop.logs:
        loop.logs.close()
    return loop.history


def run_bar(hidden: bool) -> Progress:
    """Create the progress bar of a run, on standard output: steps, time left, speed and loss of the epoch."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    text = TextColumn("{task.fields[now]}")
    return progress_bar(*columns, text, console=Console(), hidden=hidden, period=PERIOD)


class Loop:
    """The state of a run over all stages: devices, folder, progress bar, logs, history."""

    def __init__(
        self, fabric: Fabric, config: TrainConfig, run: Path, progress: Progress, untrained: Collection[str]
    ) -> None:
        self.fabric, self.config, self.run, self.progress, self.untrained = fabric, config, run, progress, untrained
        self.saved: dict[str, Any] | None = checkpoint.load_state(run / LAST)
        self.history = [Epoch(**record) for record in self.saved["history"]] if self.saved else []
        self.logs = Logs(run, len(self.history)) if fabric.is_global_zero else None
        self.images, self.whole = (0, 0), TaskID(0)
        self.pooled = PooledVectors(fabric, config)

    def expect(self, plan: Sequence[Stage], data: Data) -> None:
        """Start to measure the work of the whole run, of which finished epochs are a part."""
        self.images = len(data.train), len(data.held_out or ())
        done = sum(epoch_work(record.stage, *self.images) for record in self.history)
        total = total_work(plan, *self.images)
        self.whole = self.progress.add_task("run", total=total, completed=done, visible=False)

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
                self.progress.advance(self.whole, epoch_work(stage.name, 0, self.images[1]))
                self.history.append(Epoch(stage.name, epoch, mean, score, speed, learning_rate))
                if self.config.select == "last" or self.history[-1] is best(self.history, stage.name):
                    learner.select()
                self.log(network, data.held_out or data.train)
            self.save(learner)
        learner.finish()
        fill_untrained(network, self.untrained)
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
        stage, seed = learner.stage, self.seed(learner.stage, epoch)
        batches = self.batches(epoch_order(train, seed, self.config.balance), stage.batch_size)
        task = self.progress.add_task(f"{stage.name} {epoch + 1}/{stage.epochs}", total=len(batches), now="")
        total = torch.zeros(2, dtype=torch.float64, device=self.fabric.device)
        learning_rate, started = 0.0, perf_counter()
        learner.view.train()
        for step, (inputs, target) in enumerate(self.inputs(learner, train, batches, epoch)):
            number = epoch * len(batches) + step
            learning_rate = stage.learning_rate * rate(self.config, number, stage.epochs * len(batches), epoch)
            batch_loss, known = loss(learner.view(inputs), target)
            total += torch.stack([batch_loss.detach(), known]).double()
            learner.step(batch_loss / self.divisor(known), learning_rate, number)
            self.progress.advance(task)
            self.progress.advance(self.whole, epoch_work(stage.name, self.images[0], 0) / len(batches))
            if step % SHOWN == 0 and not self.progress.disable:
                speed = (step + 1) * stage.batch_size * self.fabric.world_size / (perf_counter() - started)
                now = f"{speed:.0f} images/s  loss {(total[0] / total[1]).item():.4f}{self.time_left()}"
                self.progress.update(task, now=now)
        self.progress.remove_task(task)
        learner.synchronise_statistics()
        total_loss, total_known = all_reduce(self.fabric, total, "sum").tolist()
        if not isfinite(total_loss):
            advice = "try a lower rate (--rates) or --precision 32-true"
            raise TrainingError(f"{stage.name}, epoch {epoch + 1}: the loss is not finite; {advice}")
        return total_loss / max(1, total_known), learning_rate

    def seed(self, stage: Stage, number: int) -> tuple[int, int, int]:
        """Return the seed of an epoch, or of a view, of a stage."""
        return self.config.seed, STAGES.index(stage.name), number

    def inputs(
        self, learner: Learner, train: Canvases, batches: Sequence[tuple[Indices, Indices]], epoch: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield, on the device, a step's canvases `[B, 1, S, S]` or vectors `[B, 2C]`, and targets `[B, K]`."""
        stage, views = learner.stage, self.config.fusion_views
        if stage.name == "fusion" and views:
            view = self.seed(stage, epoch * views // stage.epochs)
            vectors = self.pooled.train(learner.network, train, view)
            targets = torch.from_numpy(train.targets).to(self.fabric.device)
            yield from ((vectors[indices], targets[indices]) for _, indices in batches)
        else:
            loaded = load(train, batches, self.seed(stage, epoch), self.config.augmentation, self.config.workers)
            yield from (augmented(batch, train.factor, self.fabric.device) for batch in loaded)

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
        if learner.stage.name == "fusion" and self.config.fusion_views:
            with torch.no_grad():
                scores = view(self.pooled.held_out(learner.network, held_out)).float().cpu().numpy()
            return macro_auroc(scores[:, : held_out.targets.shape[1]], held_out.targets)
        return macro_auroc(logits(self.fabric, view, held_out), held_out.targets)

    def log(self, network: Agcnn, pictured: Canvases) -> None:
        """Log the epoch before it is saved: after a crash in between, the epoch is trained and logged again."""
        if self.logs:
            self.logs.numbers(self.history)
            self.logs.pictures(network, pictured, len(self.history) - 1)
            self.progress.console.print(line(self.history[-1]) + self.time_left())

    def time_left(self) -> str:
        """Return the time left for all stages as text; nothing at first."""
        return format_left(next(task.time_remaining for task in self.progress.tasks if task.id == self.whole))

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
