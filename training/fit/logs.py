"""Logs of a run: its scores as CSV and in TensorBoard, and pictures of the attention."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from lightning_fabric.loggers.tensorboard import TensorBoardLogger
from torch.nn.functional import avg_pool2d

from model.agcnn import Agcnn
from training.data.cache import Canvases
from training.fit.overlay import overlay

FOLDER = "logs"
TABLE = "epochs.csv"
PICTURES = 4
PICTURE_SIZE = 448  # approximate side in pixels; small, since four are written each epoch


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch; `auroc` is the macro average on the held-out images, None if there are none."""

    stage: str
    epoch: int
    loss: float
    auroc: float | None
    images_per_second: float
    learning_rate: float


class Logs:
    """The logs of a run folder, with one entry for every epoch of all stages.

    When a run is resumed, TensorBoard drops the entries of epochs that are trained again.
    """

    def __init__(self, run: Path, epochs: int) -> None:
        self.folder = run / FOLDER
        self.board = TensorBoardLogger(run, FOLDER, "", purge_step=epochs)

    def numbers(self, history: Sequence[Epoch]) -> None:
        """Log the last epoch."""
        record = asdict(history[-1])
        stage, _ = record.pop("stage"), record.pop("epoch")
        known = {f"{stage}/{name}": value for name, value in record.items() if value is not None}
        self.board.log_metrics(known, len(history) - 1)
        self.board.save()
        write_table(self.folder / TABLE, history)

    def pictures(self, network: Agcnn, canvases: Canvases, step: int) -> None:
        """Log the attention of the network on the first few images."""
        for name, picture in overlays(network, canvases.subset(np.arange(min(PICTURES, len(canvases))))).items():
            self.board.experiment.add_image(name, picture, step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the logs."""
        self.board.finalize("finished")


def write_table(path: Path, history: Sequence[Epoch]) -> None:
    """Write all epochs so far atomically; no epoch has two rows, however often a run is resumed."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Epoch)])
        table.writeheader()
        table.writerows(asdict(record) for record in history)
    temporary.replace(path)


@torch.no_grad()
def overlays(network: Agcnn, canvases: Canvases) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Draw canvas, heat map and box of each image: name to `[h, w, 3] uint8` RGB, about 448 pixels wide at most."""
    network.eval()
    device = next(network.parameters()).device
    canvas = canvases.batch(np.arange(len(canvases)))[0].to(device)
    attention = network.attend(canvas)
    small = avg_pool2d(canvas, max(1, canvases.size // PICTURE_SIZE))
    arrays = [tensor.float().cpu().numpy() for tensor in (small, attention.heat_map, attention.box)]
    return {case.image: overlay(*parts) for case, *parts in zip(canvases.cases, *arrays, strict=True)}
