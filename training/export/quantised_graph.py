"""Static quantisation of the trunks of a graph to 8-bit integers; region, crop, pooling and calibration stay float."""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

INTEGER = ("Conv", "Clip", "Relu", "Add", "Concat")  # operators of a trunk that are computed with integers
# Others that a trunk may have. ONNX Runtime 1.31 pools integers 5 to 40 times more slowly than floats (bench.network).
FLOAT = ("AveragePool", "BatchNormalization", "MaxPool", "Mul")
VNNI = frozenset({"avx512_vnni", "avx_vnni"})  # as Linux names them


def quantised(model: onnx.ModelProto, images: Sequence[np.ndarray], reduce_range: bool) -> onnx.ModelProto:
    """Return a copy with 8-bit trunks: weights per channel, activations by their range on the images.

    The first convolution of each trunk stays float: it is cheap, and sees the canvas.

    Parameters
    ----------
    images
        Canvases `[1, S, S] float32 in [0, 1]`.
    reduce_range
        Whether weights have 7 bits, so that sums of two products fit into the 16 bits of AVX2.
    """
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    _widen(wide.graph)
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantised.onnx"
        quantize_static(
            onnx.shape_inference.infer_shapes(wide),
            path,
            _Images(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(INTEGER),
            nodes_to_quantize=trunk_nodes(wide.graph),
            per_channel=True,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        result = onnx.load(path)
    result.graph.ClearField("value_info")
    return result


def has_vnni(processor: Path = Path("/proc/cpuinfo")) -> bool:
    """Return whether the processor adds products of 8-bit integers in 32 bits, without saturation."""
    try:
        lines = processor.read_text().splitlines()
    except OSError:
        return False
    return any(VNNI & set(line.split()) for line in lines if line.startswith("flags"))


def trunk_nodes(graph: onnx.GraphProto) -> list[str]:
    """Return the names of the nodes to quantise: convolutions but for the first of each trunk, and what lies between.

    A node is between convolutions if only operators of a trunk lie between it and one before, and it and one after. So
    the crop of the canvas is not, although it lies between two trunks.
    """
    weights = {tensor.name for tensor in graph.initializer}
    members = [node for node in graph.node if node.op_type in (*INTEGER, *FLOAT)]
    members = [node for node in members if node.op_type != "Conv" or node.input[1] in weights]
    convolutions = {node.name for node in members if node.op_type == "Conv"}
    writers = {name: node.name for node in members for name in node.output}
    before = {node.name: {writers[name] for name in node.input if name in writers} for node in members}
    after = defaultdict(set)
    for name, sources in before.items():
        for source in sources:
            after[source].add(name)
    first = {name for name in convolutions if not _reached(before[name], before) & convolutions}
    between = _reached(convolutions, before) & _reached(convolutions, after)
    kinds = {node.name: node.op_type for node in members}
    return sorted(name for name in between - first if kinds[name] in INTEGER)


def _reached(start: Iterable[str], neighbours: Mapping[str, set[str]]) -> set[str]:
    """Return the nodes that one comes to from some nodes, with these."""
    waiting, reached = list(start), set(start)
    while waiting:
        new = neighbours.get(waiting.pop(), set()) - reached
        reached |= new
        waiting += new
    return reached


def _widen(graph: onnx.GraphProto) -> None:
    """Replace stored narrow tensors and their Casts by the wide tensors, which quantisation must see."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            tensor = stored[node.input[0]]
            kind = helper.tensor_dtype_to_np_dtype(helper.get_node_attr_value(node, "to"))
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(kind), node.output[0]))
        else:
            nodes.append(node)
    graph.ClearField("node")
    graph.node.extend(nodes)


class _Images(CalibrationDataReader):
    def __init__(self, images: Iterable[np.ndarray]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, np.ndarray]:
        image = next(self._images, None)
        return {} if image is None else {"image": image[None]}  # empty at the end


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the advice to optimise the graph first: its batch norms are folded already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
