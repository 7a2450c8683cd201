"""Part 2 of bench/gpu.sh: the golden self-test, the service end to end, and an epoch of training of each backbone."""

import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from bench.gpu_decoding import canvas_of
from bench.gpu_forms import Device
from bench.gpu_rows import Row, Rows
from bench.page import film
from model.branch import BACKBONES
from service.artefact.file import load
from service.inference.session import Session
from tests.factories import dicom_bytes, noise
from tests.service.dimse.serving import environment, service
from training.fit import checkpoint
from training.fit.config import TrainConfig
from training.fit.plan import Plan
from training.fit.run import train

BATCH = 32
FILES, CLIENTS = 256, 32
IMAGES = 512  # in an epoch of training
FINDINGS = ("Effusion", "Pneumothorax")


def measure_golden(rows: Rows, path: Path, device: Device) -> None:
    """Run the service's own self-test on the provider, at every batch size that it uses."""

    def prove() -> Row:
        session = Session(load(path), device)
        session.prove(BATCH)
        return {"provider": session.provider, "equal": True}

    rows.add("golden self-test", prove)


def measure_service(rows: Rows, path: Path, device: Device, rehearsal: bool) -> None:
    """Send radiographs to the service, and run the same files through its parts in a bare loop."""
    count, clients, workers = (3, 1, 1) if rehearsal else (FILES, CLIENTS, max(1, (os.cpu_count() or 2) - 2))
    folder = rows.path.parent / "service"

    def files() -> list[bytes]:
        if rehearsal:
            return [dicom_bytes(noise(256, 256, seed=n), SOPInstanceUID=f"2.25.{n + 1}") for n in range(count)]
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            return list(pool.map(film, range(count)))

    def served() -> Row:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        settings = {"TRIAGE_RUNTIME__PROVIDER": device, "TRIAGE_LIMITS__DECODE_WORKERS": str(workers)}
        todo = files()
        with (
            service(environment(path, folder, **settings), folder / "log") as running,
            httpx.Client(base_url=running.address, timeout=120) as http,
            ThreadPoolExecutor(clients) as pool,
        ):

            def post(data: bytes) -> int:
                headers = {"Content-Type": "application/dicom"}
                return http.post("/v1/predictions", content=data, headers=headers).status_code

            start = time.perf_counter()
            statuses = list(pool.map(post, todo))
            spent = time.perf_counter() - start
        shutil.rmtree(folder)
        assert set(statuses) == {200}, f"expected 200 for every file, got {sorted(set(statuses))}"
        return {"images_per_second": round(count / spent, 1), "clients": clients, "decoders": workers}

    def bare() -> Row:
        artefact = load(path)
        session, rule = Session(artefact, device), artefact.card.preprocessing
        prepare = partial(canvas_of, size=rule.canvas_size, rule=rule.resize)
        todo = files()
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(prepare, todo[:workers]))  # the processes have started
            start = time.perf_counter()
            batch: list[np.ndarray] = []
            for image in pool.map(prepare, todo):
                batch.append(image)
                if len(batch) == BATCH:
                    session.run(np.stack(batch))
                    batch = []
            if batch:
                session.run(np.stack(batch))
            spent = time.perf_counter() - start
        return {"images_per_second": round(count / spent, 1), "decoders": workers}

    rows.add("service end to end", served)
    rows.add("bare loop of the same parts", bare)


def measure_training(rows: Rows, device: Device, rehearsal: bool) -> None:
    """Train the global branch of each backbone for one epoch in bfloat16."""
    count, side, backbones = (24, 32, ["squeezenet1_1"]) if rehearsal else (IMAGES, 224, sorted(BACKBONES))
    folder = rows.path.parent / "training"
    for backbone in backbones:
        config = TrainConfig(
            backbone=backbone,
            canvas_size=side,
            input_size=side,
            stages=("global",),
            epochs=(1, 1, 1),
            batch_sizes=(BATCH, BATCH, BATCH),
            precision="bf16-mixed",
            accelerator=device,
            workers=0 if rehearsal else 8,
        )

        def epoch(config: TrainConfig = config) -> Row:
            run = folder / config.backbone
            shutil.rmtree(run, ignore_errors=True)
            train(Plan(images(folder / "data", count, side), folder / "cache"), config, run, resume=False)
            [record] = checkpoint.read_json(run / checkpoint.DOCUMENT)["history"]
            shutil.rmtree(run)
            return {"images_per_second": record["images_per_second"], "loss": record["loss"], "images": count}

        rows.add(f"training, {backbone}, {side} px, bfloat16", epoch)


def images(folder: Path, count: int, side: int) -> Path:
    """Draw pictures with random findings, as a folder of one's own that can be trained on, unless it is there."""
    if (folder / "labels.csv").exists():
        return folder
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = [f"image,patient,split,{','.join(FINDINGS)}"]
    for number in range(count + 8):
        name = f"{number:05d}.png"
        Image.fromarray(noise(side, side, 8, number)).save(folder / "images" / name)
        lines.append(f"{name},{number},{'train' if number < count else 'val'},{number % 2},{number // 2 % 2}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
