"""The outputs of a graph by name, computed by torch and by ONNX Runtime, and how far they differ."""

from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime as ort
import torch

from training.export.fused_graph import FusedGraph

Outputs = dict[str, np.ndarray]


def in_runtime(model: bytes, names: Sequence[str]) -> Callable[[np.ndarray], Outputs]:
    """Return a function that maps canvases `[B, 1, S, S] float32` to the named outputs of a model."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda batch: dict(zip(names, map(np.asarray, session.run(names, {"image": batch})), strict=True))


def in_torch(graph: FusedGraph) -> Callable[[np.ndarray], Outputs]:
    """Return a function that maps canvases `[B, 1, S, S] float32` to the outputs of a graph."""

    def run(batch: np.ndarray) -> Outputs:
        """Map canvases `[B, 1, S, S]` to outputs by name."""
        with torch.inference_mode():
            outputs = graph(torch.from_numpy(batch))
        return {name: tensor.numpy() for name, tensor in zip(graph.output_names, outputs, strict=True)}

    return run


def collect(run: Callable[[np.ndarray], Outputs], images: Sequence[np.ndarray], batch: int) -> Outputs:
    """Compute the outputs for images `[1, S, S]` in batches of this size."""
    parts = [run(np.stack(images[start : start + batch])) for start in range(0, len(images), batch)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def largest_difference(first: Outputs, second: Outputs, names: Sequence[str]) -> float:
    """Return the largest absolute difference in those of the named outputs that there are."""
    return float(np.max([np.abs(first[name] - second[name]).max() for name in names if name in first]))
