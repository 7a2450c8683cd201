"""Part 1 of bench/gpu.sh: the network alone, in every form and batch size, against the processor's outputs."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.gpu_forms import RUNTIME_FORMS, TORCH_FORMS, Arrays, Bound, Device, in_half, in_torch, runtime, torch_form
from bench.gpu_rows import Row, Rows
from bench.prevalence import ROOT
from service.artefact.file import Artefact, load
from service.dicom.canvas import canvas
from service.dicom.radiograph import radiograph
from service.errors import UnsuitableImage
from training.export.fused_graph import FusedGraph

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
COMPILED = (1, 32, 128)  # each batch size is compiled anew, for up to a minute
PROBABILITIES = ("fusion", "global", "local")
EXACT, ROUGH = (1e-4, 1.0), (5e-3, 4.0)  # allowed difference of a probability, and of a box in pixels of the canvas
WARM = 3  # runs before the first that counts, and the fewest that count


def measure_network(rows: Rows, path: Path, device: Device, rehearsal: bool) -> None:
    """Measure every form of an artefact's network, the forms side by side at each batch size."""
    artefact, seconds = load(path), 0.0 if rehearsal else 1.0
    images = canvases(artefact)
    half = in_half(artefact.model)
    models = {form: half if "fp16" in form else artefact.model for form in RUNTIME_FORMS}
    graph = in_torch(artefact)
    prefix = f"{artefact.card.name}, {artefact.card.preprocessing.canvas_size} px"

    @cache
    def expected() -> Arrays:
        """Outputs of the processor, in float32."""
        bound = runtime(artefact, artefact.model, "fp32", len(images), "cpu")
        bound.write(images)
        bound.run()
        return bound.read()

    def measured(make: Callable[[], Bound], batch: int, limits: tuple[float, float]) -> Row:
        before = used(device)
        bound = make()
        bound.write(np.resize(images, (batch, *images.shape[1:])))
        row = rate(bound, batch, seconds)
        memory = None if before is None else round((used(device) or 0) - before)
        return row | {"memory_mib": memory, **difference(bound.read(), expected(), images.shape[-1], limits)}

    rows.add(f"{prefix}: work", lambda: {"gflop": work(graph)})
    for batch in (1,) if rehearsal else BATCHES:
        for form, model in models.items():
            limits = EXACT if form == "fp32" else ROUGH
            rows.add(
                f"{prefix}: ONNX Runtime {form}, batch {batch}",
                lambda form=form, model=model, batch=batch, limits=limits: measured(
                    lambda: runtime(artefact, model, form, batch, device), batch, limits
                ),
            )
        for form in TORCH_FORMS:
            if form.startswith("eager") or rehearsal or batch in COMPILED:
                rows.add(
                    f"{prefix}: torch {form}, batch {batch}",
                    lambda form=form, batch=batch: measured(
                        lambda: torch_form(graph, form, batch, device), batch, ROUGH
                    ),
                )


def measure_ceilings(rows: Rows, device: Device, rehearsal: bool) -> None:
    """Measure what the machine can do at most: a product of matrices, and a copy in its memory."""
    kind, side = (torch.float16, 8192) if device == "cuda" else (torch.float32, 128)
    seconds = 0.0 if rehearsal else 1.0

    def shortest(call: Callable[[], object]) -> float:
        def synchronised() -> None:
            call()
            if device == "cuda":
                torch.cuda.synchronize()

        return min(times(synchronised, seconds))

    def product() -> Row:
        left, right = (torch.rand(side, side, dtype=kind, device=device) for _ in range(2))
        return {"tflop_per_second": 2 * side**3 / 1e12 / shortest(lambda: left @ right)}

    def copy() -> Row:
        source = torch.empty(side * side * 8, dtype=torch.uint8, device=device)
        return {"gb_per_second": 2 * source.numel() / 1e9 / shortest(source.clone)}

    rows.add("ceiling: matrix product", product)
    rows.add("ceiling: copy", copy)


def canvases(artefact: Artefact) -> np.ndarray:
    """Return the canvases of the frontal samples: `[B, 1, S, S] float32 in [0, 1]`."""
    size, rule = artefact.card.preprocessing.canvas_size, artefact.card.preprocessing.resize
    read = []
    for path in sorted((ROOT / "samples").glob("*.dcm")):
        with suppress(UnsuitableImage):  # a lateral view
            read.append(radiograph(path.read_bytes()))
    return np.stack([canvas(each.values, size, rule, each.header.aspect) for each in read])


def rate(bound: Bound, batch: int, seconds: float) -> Row:
    """Run again and again for some seconds: images a second, and the latency of a run in milliseconds."""
    spent = times(bound.run, seconds)
    p50, p95 = (round(float(value) * 1000, 3) for value in np.percentile(spent, (50, 95)))
    return {"images_per_second": round(batch * len(spent) / sum(spent), 1), "p50_ms": p50, "p95_ms": p95}


def times(run: Callable[[], object], seconds: float) -> list[float]:
    """Run again and again for some seconds, after a warm-up; return the seconds of each run. No seconds: run once."""
    warm = WARM if seconds else 0
    for _ in range(warm):
        run()
    spent: list[float] = []
    while len(spent) < max(1, warm) or sum(spent) < seconds:
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return spent


def difference(got: Arrays, expected: Arrays, size: int, limits: tuple[float, float]) -> Row:
    """Compare with the processor: largest differences, of a box in pixels of `size`, and whether they are allowed."""
    count = min(len(got["box"]), len(expected["box"]))
    probability = max(float(np.abs(got[n][:count] - expected[n][:count]).max()) for n in PROBABILITIES if n in expected)
    box = float(np.abs(got["box"][:count] - expected["box"][:count]).max()) * size
    return {"probability": probability, "box_pixels": box, "equal": probability <= limits[0] and box <= limits[1]}


def work(graph: FusedGraph) -> float:
    """Return the floating-point operations of one image in units of 10⁹."""
    size = graph.network.config.canvas_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        graph(torch.zeros(1, 1, size, size))
    return float(counter.get_total_flops()) / 1e9


def used(device: Device) -> float | None:
    """Return the memory of the GPU in use, by all processes, in MiB; None without a GPU."""
    if device == "cpu":
        return None
    torch.cuda.empty_cache()
    free, total = torch.cuda.mem_get_info()
    return (total - free) / 2**20
