"""Whether the loader keeps a device busy: `python -m bench.loader --data FOLDER [--workers N] [--device cuda] …`.

It measures images per second of decoding into the cache (which delays the first epoch), of the loader from the cache,
of the augmentation on the device, and of a training step on the device; for the global stage on shrunk canvases and for
the local stage on full ones. The device augments and trains; if the last column is above 1, it never waits.
"""

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from lightning_fabric import Fabric

from bench.scores import table
from model.agcnn import Agcnn
from training.data.cache import Canvases, cache_canvases
from training.data.loader import Batch, augmented, load
from training.data.order import epoch_order
from training.data.sources import read
from training.fit.config import TrainConfig
from training.fit.learner import Learner
from training.fit.loss import masked_loss
from training.fit.stages import Stage, stages

SECONDS = 5.0  # minimum duration of each measurement


@dataclass(frozen=True)
class Speed:
    """Images per second of one stage."""

    loader: float
    augmentation: float
    step: float

    @property
    def ratio(self) -> float:
        """The loader's speed divided by the device's."""
        return self.loader * (1 / self.augmentation + 1 / self.step)


def per_second(work: Callable[[], int], synchronise: Callable[[], None]) -> float:
    """Images per second of `work`, which returns the number of images it processed; the first call is a warm-up."""
    work()
    synchronise()
    images, started = 0, perf_counter()
    while perf_counter() - started < SECONDS:
        images += work()
        synchronise()
    return images / (perf_counter() - started)


def measure(canvases: Canvases, stage: Stage, network: Agcnn, config: TrainConfig, fabric: Fabric) -> Speed:
    """Measure the speeds of one stage."""
    canvases = canvases.reduced(stage.canvas_size)
    synchronise = torch.cuda.synchronize if fabric.device.type == "cuda" else lambda: None
    order = epoch_order(canvases, (config.seed,), balance=False)
    places = np.arange(len(order))
    batches = [
        (chunk, order[chunk]) for chunk in np.split(places, range(stage.batch_size, len(places), stage.batch_size))
    ]

    def epoch() -> int:
        return count(load(canvases, batches, (config.seed,), config.augmentation, config.workers))

    first = next(load(canvases, batches[:1], (config.seed,), config.augmentation, 0))

    def augmentation() -> int:
        return len(augmented(first, canvases.factor, fabric.device)[0])

    learner = Learner(fabric, network, stage, config)
    learner.view.train()
    canvas, target = (tensor.to(fabric.device) for tensor in canvases.batch(order[: stage.batch_size]))

    def step() -> int:
        loss, known = masked_loss(learner.view(canvas), target)
        learner.step(loss / known, 1e-4, 0)
        return len(canvas)

    return Speed(per_second(epoch, lambda: None), per_second(augmentation, synchronise), per_second(step, synchronise))


def count(batches: Iterable[Batch]) -> int:
    """Number of images in all batches."""
    return sum(len(batch.pixels) for batch in batches)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", default="squeezenet1_1")
    parser.add_argument("--canvas", type=int, default=896)
    parser.add_argument("--input", type=int, default=224)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--images", type=int, default=512, help="number of images of the train list")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="processor threads of the training step"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    parser.add_argument("--precision", default="32-true")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    config = TrainConfig(
        backbone=options.backbone,
        canvas_size=options.canvas,
        input_size=options.input,
        batch_sizes=(options.batch,) * 3,
        workers=options.workers,
        threads=options.threads,
        precision=options.precision,
    )
    torch.set_num_threads(config.threads)
    fabric = Fabric(accelerator=options.device, devices=1, precision=config.precision)
    fabric.launch()
    network = Agcnn(config.network).to(fabric.device, memory_format=torch.channels_last)
    source = read(options.data, "train", options.canvas)
    source = replace(source, cases=source.cases[: options.images], paths=source.paths[: options.images])
    with TemporaryDirectory() as folder:
        started = perf_counter()
        canvases = cache_canvases(source, Path(folder))
        decoded = len(canvases) / (perf_counter() - started)
        rows = [["stage", "canvas", "decode and cache", "loader", "augmentation", "step", "loader / device"]]
        for stage in stages(config)[:2]:
            speed = measure(canvases, stage, network, config, fabric)
            numbers = (decoded, speed.loader, speed.augmentation, speed.step)
            size = str(canvases.reduced(stage.canvas_size).size)
            rows.append([stage.name, size, *(f"{number:,.0f}" for number in numbers), f"{speed.ratio:.2f}"])
    what = f"{config.backbone}, {config.precision}, batch {options.batch}, {len(canvases)} images"
    print(f"{fabric.device}, {what}, {config.workers} workers\n\n{table(rows)}")


if __name__ == "__main__":
    main()
