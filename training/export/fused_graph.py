"""The fused graph: canvas to calibrated probabilities in ONNX, without traces of the machine that exported it."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from model.agcnn import Agcnn
from service.artefact.file import output_names
from training.evaluation.calibration import Calibration
from training.fit.served_weights import LARGE

OPSET = 20
# Operators that are slow, or that providers implement differently.
BANNED = frozenset({"Loop", "If", "Scan", "ScatterND"})


class FusedGraph(nn.Module):
    """AG-CNN with calibration and sigmoid, for the labels only: an output for "No Finding" is dropped.

    Parameters
    ----------
    network
        Network in evaluation mode, from `training.fit.served_weights.as_served` or `folded`.
    calibration
        Slope and bias on the logits, `[3, K]`, in the order fusion, global, local; K labels.
    """

    slope: Tensor
    bias: Tensor

    def __init__(self, network: Agcnn, calibration: Calibration) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("slope", torch.as_tensor(calibration.slope, dtype=torch.float32))
        self.register_buffer("bias", torch.as_tensor(calibration.bias, dtype=torch.float32))
        self.eval()

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return output_names(self.network.config.second_look)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map `[B, 1, S, S] float32 in [0, 1]` to the tensors of `output_names`."""
        output = self.network(image)
        labels = self.slope.shape[1]  # an additional output, No Finding, is trained but not served
        branches = (output.fusion, output.global_, output.local)
        logits = [branch[:, :labels] for branch in branches if branch is not None]
        probabilities = [torch.sigmoid(self.slope[n] * branch + self.bias[n]) for n, branch in enumerate(logits)]
        return *probabilities, output.heat_map, output.class_maps[:, :labels], output.box


def to_onnx(graph: FusedGraph) -> onnx.ModelProto:
    """Convert to ONNX: dynamic batch, large tensors in the narrowest exact type, no paths or stack traces."""
    size = graph.network.config.canvas_size
    with _quiet():
        program = torch.onnx.export(
            graph,
            (torch.zeros(2, 1, size, size),),
            input_names=["image"],
            output_names=list(graph.output_names),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    model: onnx.ModelProto = program.model_proto  # type: ignore[union-attr]
    _remove_debug_info(model)
    _narrow(model.graph)
    return model


def banned_operators(model: onnx.ModelProto) -> list[str]:
    """Return, sorted, the graph's operators that the project does not allow or that are not in ONNX's own domains."""
    nodes = [node for function in model.functions for node in function.node] + list(model.graph.node)
    return sorted({node.op_type for node in nodes if node.op_type in BANNED or node.domain not in ("", "ai.onnx")})


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's deprecation warnings and its notice that torchvision is missing."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _remove_debug_info(model: onnx.ModelProto) -> None:
    """Remove what the exporter writes for debugging: stack traces with local paths, module names, symbols."""
    graph = model.graph
    parts: list[Iterable[object]] = [graph.node, graph.input, graph.output, graph.initializer, model.functions]
    for part in [model, graph, *(item for items in parts for item in items)]:
        part.ClearField("doc_string")  # type: ignore[attr-defined]
        part.ClearField("metadata_props")  # type: ignore[attr-defined]
    graph.name = "agcnn"
    graph.ClearField("value_info")
    for tensor in [*graph.input, *graph.output]:
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"


def _narrow(graph: onnx.GraphProto) -> None:
    """Store each large tensor in the narrowest type that holds it exactly, with a Cast that is folded on loading."""
    casts = []
    for initializer in graph.initializer:
        wide = numpy_helper.to_array(initializer)
        narrow = _narrowest(wide)
        if narrow.dtype != wide.dtype:
            name, kind = initializer.name, initializer.data_type
            initializer.CopyFrom(numpy_helper.from_array(narrow, f"{name}.stored"))
            casts.append(helper.make_node("Cast", [f"{name}.stored"], [name], name=f"{name}.cast", to=kind))
    nodes = [*casts, *graph.node]
    graph.ClearField("node")
    graph.node.extend(nodes)


def _narrowest(values: np.ndarray) -> np.ndarray:
    narrower = {np.dtype(np.float32): (np.float16,), np.dtype(np.int64): (np.int8, np.int16)}
    if values.size >= LARGE:
        for kind in narrower.get(values.dtype, ()):
            with np.errstate(over="ignore"):
                narrow = values.astype(kind)
            if np.array_equal(narrow.astype(values.dtype), values):
                return narrow
    return values
