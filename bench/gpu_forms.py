"""One network in every form that is measured on a GPU: ONNX Runtime and torch, each bound to one batch size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper
from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

from model.agcnn import Agcnn, AgcnnConfig
from service.artefact.file import Artefact, output_names
from service.inference.provider import CUDA_OPTIONS
from training.evaluation.calibration import Calibration
from training.export.fused_graph import FusedGraph
from training.fit.artefact_weights import read_artefact
from training.fit.served_weights import as_served

Device = Literal["cuda", "cpu"]
Arrays = dict[str, np.ndarray]
RUNTIME_FORMS = ("fp32", "TF32", "fp16", "fp16 graph")
TORCH_FORMS = ("eager fp16", "compiled fp16")


@dataclass(frozen=True)
class Bound:
    """A network with buffers of one batch size on its device: write the input, run as often as wanted, read outputs."""

    write: Callable[[np.ndarray], object]
    run: Callable[[], object]
    read: Callable[[], Arrays]


def runtime(artefact: Artefact, model: bytes, form: str, batch: int, device: Device) -> Bound:
    """Bind a model to buffers of ONNX Runtime on the device.

    Parameters
    ----------
    form
        One of `RUNTIME_FORMS`. `fp16 graph` records the run as a CUDA graph; on a processor it is the same as `fp16`.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_free_dimension_override_by_name("batch", batch)  # shapes become constants, as a CUDA graph requires
    providers: list[Any] = ["CPUExecutionProvider"]
    if device == "cuda":
        ort.preload_dlls()
        cuda = {"use_tf32": str(int(form == "TF32")), "enable_cuda_graph": str(int(form.endswith("graph")))}
        providers.insert(0, ("CUDAExecutionProvider", CUDA_OPTIONS | cuda))
    session = ort.InferenceSession(model, options, providers=providers)
    if session.get_providers()[0] != providers[0] and device == "cuda":
        assert session.get_providers()[0] == "CUDAExecutionProvider", "ONNX Runtime could not load CUDA"
    size = artefact.card.preprocessing.canvas_size
    image = ort.OrtValue.ortvalue_from_numpy(np.zeros((batch, 1, size, size), np.float32), device, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("image", image)
    outputs = {}
    for output in session.get_outputs():
        shape = [batch, *output.shape[1:]]
        outputs[output.name] = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.float32, device, 0)
        binding.bind_ortvalue_output(output.name, outputs[output.name])

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return Bound(image.update_inplace, run, lambda: {name: value.numpy() for name, value in outputs.items()})


def in_half(model: bytes) -> bytes:
    """Convert the network to float16, but for the region, whose areas exceed what float16 holds exactly."""
    proto = onnx.load_from_string(model)
    region = ancestors(proto.graph, "box") - ancestors(proto.graph, "heat_map")
    converted = convert_float_to_float16(
        proto, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, "GridSample"], node_block_list=sorted(region)
    )
    # Of a node that uses one tensor twice, the conversion writes the same cast twice.
    kept = list({node.output[0]: node for node in converted.graph.node}.values())
    del converted.graph.node[:]
    converted.graph.node.extend(kept)
    return bytes(converted.SerializeToString())


def ancestors(graph: onnx.GraphProto, output: str) -> set[str]:
    """Return the names of the nodes on which an output depends."""
    makers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    todo = [output]
    while todo:
        node = makers.get(todo.pop())
        if node is not None and node.name not in found:
            found.add(node.name)
            todo += node.input
    return found


def in_torch(artefact: Artefact) -> FusedGraph:
    """Rebuild an artefact's network in torch."""
    state, card = read_artefact(artefact.path)
    fields = {name: card["network"][name] for name in AgcnnConfig.__dataclass_fields__ if name in card["network"]}
    findings = len(state["global_branch.classifier.weight"])
    config = AgcnnConfig(canvas_size=card["preprocessing"]["canvas_size"], findings=findings, **fields)
    network = as_served(Agcnn(config))
    network.load_state_dict(state)
    return FusedGraph(network, calibration(artefact))


def calibration(artefact: Artefact) -> Calibration:
    """Return slopes and biases `[3, K]` of the sigmoids at the end of an artefact's graph."""
    graph = onnx.load_from_string(artefact.model).graph
    makers = {name: node for node in graph.node for name in node.output}
    constants = {item.name: numpy_helper.to_array(item) for item in graph.initializer}

    def step(name: str, operator: str) -> tuple[str, np.ndarray]:
        """Return the variable and the constant input of a node."""
        node = makers[name]
        assert node.op_type == operator, f"{name}: expected {operator}, got {node.op_type}"
        [constant] = [each for each in node.input if each in constants]
        [variable] = [each for each in node.input if each not in constants]
        return variable, constants[constant]

    pairs = []
    for name in ("fusion", "global", "local"):
        last = makers[name if name in makers else "global"]
        while last.op_type == "Identity":
            last = makers[last.input[0]]
        product, bias = step(last.input[0], "Add")
        pairs.append((step(product, "Mul")[1], bias))
    return Calibration(*(np.stack(values) for values in zip(*pairs, strict=True)))


def torch_form(graph: FusedGraph, form: str, batch: int, device: Device) -> Bound:
    """Bind a network to a buffer of torch on the device; the layout is channels-last.

    Parameters
    ----------
    form
        One of `TORCH_FORMS`. On a processor nothing is compiled, and float32 is used: float16 takes a minute there.
    """
    size = graph.network.config.canvas_size
    graph = graph.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.zeros(batch, 1, size, size, device=device)
    call: Any = graph
    if form.startswith("compiled"):
        way: dict[str, Any] = {"mode": "reduce-overhead"} if device == "cuda" else {"disable": True}
        call = torch.compile(graph, dynamic=False, **way)
    outputs: list[tuple[torch.Tensor, ...]] = []

    @torch.no_grad()
    def run() -> None:
        with torch.autocast(device, torch.float16, enabled=device == "cuda"):
            outputs[:] = [call(image)]
        if device == "cuda":
            torch.cuda.synchronize()

    def read() -> Arrays:
        names = output_names(graph.network.config.second_look)
        return {name: value.float().cpu().numpy() for name, value in zip(names, outputs[0], strict=True)}

    return Bound(lambda canvases: image.copy_(torch.from_numpy(canvases)), run, read)
