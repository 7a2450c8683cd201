"""The network exported to ONNX: standard operators, any batch size, equal outputs.

The backbones left to `make soak` are exported by `tests/training/export/test_export.py` and
`tests/service/test_systems.py` as well, where outputs and operators are compared in the same way.
"""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor

from model.agcnn import Agcnn, AgcnnConfig
from model.heat_map import Statistic
from tests.model import by_hand
from tests.model.thin import thin

FORBIDDEN = {"Loop", "If", "Scan", "ScatterND", "ScatterElements", "NonZero", "SequenceAt"}


def canvases(count: int, side: int) -> Tensor:
    coarse = torch.rand(count, 1, 12, 12)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear").clamp(0, 1)


def export(network: Agcnn, side: int) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.onnx.export(
        network, (canvases(2, side),), dynamo=True, opset_version=20, dynamic_shapes=({0: batch},), verbose=False
    )
    assert program is not None
    return program.model_proto


@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # raised inside torch's exporter
@pytest.mark.parametrize(
    ("backbone", "statistic", "mirror"),
    [  # a network with gates also has every operator of the plain one
        ("efficientnet_lite0", "max", True),
        pytest.param("squeezenet1_1", "max", False, marks=pytest.mark.soak),
        pytest.param("se_densenet121", "l1", False, marks=pytest.mark.soak),
        pytest.param("se_resnet50", "l2", False, marks=pytest.mark.soak),
        pytest.param("nonlocal_resnet50", "max", False, marks=pytest.mark.soak),
    ],
)
def test_the_exported_graph_has_standard_operators_and_equals_the_network(
    backbone: str, statistic: Statistic, mirror: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(monkeypatch)
    network = Agcnn(AgcnnConfig(backbone=backbone, canvas_size=256, input_size=128, statistic=statistic, mirror=mirror))
    by_hand.trained(network)
    proto = export(network, 256)
    assert not proto.functions
    assert not FORBIDDEN & {node.op_type for node in proto.graph.node}
    assert {node.domain for node in proto.graph.node} == {""}
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        canvas = torch.cat([canvases(batch, 256)[:-1], torch.zeros(1, 1, 256, 256)])
        with torch.no_grad():
            expected = network(canvas)
        actual = session.run(None, {session.get_inputs()[0].name: canvas.numpy()})
        for name, tensor, array in zip(expected._fields, expected, actual, strict=True):
            assert array.shape == tuple(tensor.shape), name
            assert np.abs(array - tensor.numpy()).max() < 1e-4, name
