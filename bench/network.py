"""Speed of the network alone on a processor: `python -m bench.network [--networks shipped ...]`.

Images per second of the same graph in ONNX Runtime, in torch eager, in OpenVINO where it is installed, and quantised to
8-bit integers by `agcnn quantise`. All run in one process, one after another in turn, so that other load meets them
alike; the best time of each counts, and its ratio to ONNX Runtime in float. Networks other than the one that ships are
untrained, as weights do not change the time. With --profile, the operators that take most of the time are listed.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch

from bench.scores import table
from model.agcnn import Agcnn, AgcnnConfig, without_second_look
from service.artefact.file import load
from service.settings import SHIPPED_ARTEFACT
from tests.artefacts import calibration, smooth_canvases, tiny_network
from training.export.fused_graph import FusedGraph, to_onnx
from training.export.quantised_graph import has_vnni, quantised
from training.fit.served_weights import as_served

CONFIGS = {  # a global branch alone, as the artefact that ships
    "densenet121": AgcnnConfig(backbone="densenet121", canvas_size=224, input_size=224),
    "squeezenet1_1": AgcnnConfig(backbone="squeezenet1_1", canvas_size=224, input_size=224),
}
CALIBRATION = 8  # images, enough for the speed
RATIOS = (("ORT f32", "torch eager"), ("ORT f32", "OpenVINO f32"), ("ORT INT8", "ORT f32"))

Run = Callable[[np.ndarray], object]


@dataclass(frozen=True)
class Subject:
    """A network in torch and as ONNX graphs, in float and with integers; side of its canvas in pixels."""

    graph: FusedGraph
    model: onnx.ModelProto
    integers: onnx.ModelProto
    size: int


def subject(name: str) -> Subject:
    """Return a network by its name in `CONFIGS`, or the one that ships."""
    if name != "shipped":
        graph = FusedGraph(as_served(without_second_look(tiny_network(0, CONFIGS[name]))), calibration())
        return with_integers(graph, to_onnx(graph), CONFIGS[name].canvas_size)
    card = load(SHIPPED_ARTEFACT).card
    fields = {field: value for field, value in card.network.model_dump().items() if value is not None}
    config = AgcnnConfig(canvas_size=card.preprocessing.canvas_size, **fields)
    graph = FusedGraph(as_served(Agcnn(config)), calibration())
    return with_integers(graph, onnx.load(SHIPPED_ARTEFACT), config.canvas_size)


def with_integers(graph: FusedGraph, model: onnx.ModelProto, size: int) -> Subject:
    """Quantise a model, once for all measurements."""
    integers = quantised(model, smooth_canvases(CALIBRATION, size), reduce_range=not has_vnni())
    return Subject(graph, model, integers, size)


def runs(subject: Subject, threads: int) -> dict[str, Run]:
    """Return a function for each way to compute the network."""
    ways: dict[str, Run] = {"ORT f32": in_runtime(subject.model, threads), "torch eager": in_torch(subject.graph)}
    if (openvino := in_openvino(subject.model, threads)) is not None:
        ways["OpenVINO f32"] = openvino
    return ways | {"ORT INT8": in_runtime(subject.integers, threads)}


def in_runtime(model: onnx.ModelProto, threads: int, profile: Path | None = None) -> Run:
    """Return a function that computes a model in ONNX Runtime with the options of the service."""
    session = session_of(model, threads, profile)
    return lambda batch: session.run(None, {"image": batch})


def session_of(model: onnx.ModelProto, threads: int, profile: Path | None = None) -> ort.InferenceSession:
    """Return a session with the options of the service."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, str(profile)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def in_torch(graph: FusedGraph) -> Run:
    """Return a function that computes a graph in torch, eagerly, without gradients."""

    def run(batch: np.ndarray) -> object:
        with torch.inference_mode():
            return graph(torch.from_numpy(batch))

    return run


def in_openvino(model: onnx.ModelProto, threads: int) -> Run | None:
    """Return a function that computes a model in OpenVINO in float32; None if it is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    core = openvino.Core()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(core.read_model(path), "CPU", options)
    return lambda batch: compiled([batch])


def seconds(ways: dict[str, Run], batch: np.ndarray, rounds: int) -> dict[str, float]:
    """Run each way in turn; return the best time of each."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for run in ways.values():
        run(batch)
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run(batch)
            spent[name].append(time.perf_counter() - start)
    return {name: min(times) for name, times in spent.items()}


def operators(model: onnx.ModelProto, batch: np.ndarray, rounds: int) -> Counter[str]:
    """Return the microseconds of each kind of operator in one run on one thread, median of several runs."""
    with tempfile.TemporaryDirectory() as folder:
        session = session_of(model, 1, Path(folder) / "profile")
        for _ in range(rounds):
            session.run(None, {"image": batch})
        events: list[dict[str, Any]] = json.loads(Path(session.end_profiling()).read_text())
    times: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in events:
        if event["cat"] == "Node" and event["name"].endswith("_kernel_time"):
            times.setdefault(event["name"], []).append(event["dur"])
            kinds[event["name"]] = event["args"]["op_name"]
    total: Counter[str] = Counter()
    for name, durations in times.items():
        total[kinds[name]] += round(statistics.median(durations))
    return total


def measure(options: argparse.Namespace) -> str:
    """Measure all networks; return tables."""
    rows = [["network", "batch", "threads", "way", "images/s", "of ORT f32"]]
    profiles = [["network", "numbers", "operators of one image on one thread, µs"]]
    ratios: list[str] = []
    for name in options.networks:
        network = subject(name)
        times: list[dict[str, float]] = []
        for threads in options.threads:
            torch.set_num_threads(threads)
            ways = runs(network, threads)
            for size in options.batches:
                best = seconds(ways, np.stack(smooth_canvases(size, network.size)), options.rounds)
                times.append(best)
                for way, spent in best.items():
                    ratio = f"{best['ORT f32'] / spent:.2f}"
                    rows.append([name, str(size), str(threads), way, f"{size / spent:.1f}", ratio])
        ratios += [
            f"{name}, {above} over {below}: {min(each[below] / each[above] for each in times):.2f}"
            for above, below in RATIOS
            if below in times[0]
        ]
        for kind, model in (("f32", network.model), ("INT8", network.integers)) if options.profile else ():
            most = operators(model, np.stack(smooth_canvases(1, network.size)), options.rounds).most_common(8)
            profiles.append([name, kind, ", ".join(f"{operator} {spent:,}" for operator, spent in most)])
    vnni = "with" if has_vnni() else "without"
    head = f"{platform.machine()} {vnni} VNNI, ONNX Runtime {ort.__version__}, torch {torch.__version__}"
    lowest = "The lowest ratio of all batches and threads:\n\n" + "\n".join(f"- {ratio}" for ratio in ratios)
    return "\n\n".join([head, table(rows), lowest, *([table(profiles)] if options.profile else ())])


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["shipped", *CONFIGS]
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--profile", action="store_true", help="list the operators that take most of the time")
    return parser.parse_args(words)


if __name__ == "__main__":
    print(measure(arguments()))
