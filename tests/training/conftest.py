"""A tiny data set in ChestX-ray14's published format, canvases and a configuration for it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.labels import LABELS
from training.data.cache import Canvases
from training.data.sample import Case
from training.fit.config import TrainConfig

SIDE = 64
SPLITS = {"train": range(24), "val": range(24, 32), "test": range(32, 40)}


def picture(number: int) -> np.ndarray:
    """[64, 64] uint8: a smooth picture, different for every number."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    return np.rint(127 + 120 * np.sin(3 * rows + number) * np.cos(4 * columns - number)).astype(np.uint8)


def names(split: str) -> list[str]:
    """Two images of every patient."""
    return [f"{number // 2:08d}_{number % 2:03d}.png" for number in SPLITS[split]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """One thread of torch, as several are much slower than one on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """Forty images of twenty patients, two collections, three lists."""
    return write_published(tmp_path / "tiny")


def write_published(folder: Path) -> Path:
    """Write the data set of `published` and return its folder."""
    (folder / "images").mkdir(parents=True)
    rows, collections = [], []
    for split, numbers in SPLITS.items():
        (folder / f"{split}_list.txt").write_text("\n".join(names(split)) + "\n")
        for number, name in zip(numbers, names(split), strict=True):
            Image.fromarray(picture(number)).save(folder / "images" / name)
            label = f"{LABELS[number % 14]}|{LABELS[(number + 5) % 14]}" if number % 3 else "No Finding"
            rows.append(f"{name},{label},{number % 2},{number // 2},50,F,PA,2500,2048,0.168,0.168")
            collections.append(f"{name},{'B' if number // 2 % 3 == 0 else 'A'},{split}")
    header = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
    table = [header + ",OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]", *rows]
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join(table) + "\n")
    (folder / "collections.csv").write_text("\n".join(["Image Index,collection,split", *collections]) + "\n")
    boxes = ["Image Index,Finding Label,Bbox [x,y,w,h],Unnamed: 6,Unnamed: 7,Unnamed: 8"]
    boxes += [f"{names('test')[0]},Infiltrate,256,512,128,512,,,", f"{names('test')[0]},Infiltrate,0,0,64,64,,,"]
    (folder / "BBox_List_2017.csv").write_text("\n".join(boxes) + "\n")
    return folder


@pytest.fixture
def canvases() -> Canvases:
    """Twenty images in memory: 16 of collection A from 8 patients, 4 of B from 4."""
    pixels = np.stack([picture(number) for number in range(20)])
    targets = np.random.default_rng(0).integers(0, 2, (20, 14)).astype(float)
    patients = [f"a{number // 2}" for number in range(16)] + [f"b{number}" for number in range(4)]
    cases = tuple(
        Case(f"{number}.png", patient, tuple(target), "A" if number < 16 else "B")
        for number, (patient, target) in enumerate(zip(patients, targets.tolist(), strict=True))
    )
    return Canvases("tiny", pixels, np.arange(20), cases)


@pytest.fixture(scope="session")
def small() -> TrainConfig:
    """A run that takes seconds: SqueezeNet on canvases of 64 pixels."""
    return TrainConfig(
        canvas_size=64,
        input_size=32,
        epochs=(2, 2, 2),
        batch_sizes=(8, 8, 8),
        precision="32-true",  # the same on every machine
        workers=0,
        threads=1,
    )
