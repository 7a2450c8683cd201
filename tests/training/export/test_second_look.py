"""A trained network is exported without its local branch and fusion layer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from model.agcnn import without_second_look
from service.artefact.file import load
from tests.artefacts import calibration, evaluated, of_global, smooth_canvases, tiny_network
from training.export.export import ExportError, ExportReport, export
from training.export.outputs import in_runtime

IMAGES = smooth_canvases(64)
EVALUATED = evaluated() | {"second_look": False}


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    path = tmp_path_factory.mktemp("export") / "agcnn.onnx"
    return path, export(without_second_look(tiny_network()), of_global(calibration()), EVALUATED, IMAGES, path)


def test_the_service_accepts_the_file(exported: tuple[Path, ExportReport]) -> None:
    card = load(exported[0]).card
    assert card.network.second_look is False
    assert card.golden.local is None
    assert card.golden.fusion == card.golden.global_


def test_nothing_of_the_local_branch_is_left(exported: tuple[Path, ExportReport]) -> None:
    path, report = exported
    model = onnx.load(path)
    parameters = sum(parameter.numel() for parameter in tiny_network().global_branch.parameters())
    assert 2 * parameters < report.size < 2.3 * parameters
    assert "GridSample" not in {node.op_type for node in model.graph.node}
    assert [output.name for output in model.graph.output] == ["fusion", "global", "heat_map", "class_maps", "box"]


def test_its_outputs_are_those_of_the_global_branch(exported: tuple[Path, ExportReport]) -> None:
    path, report = exported
    assert report.difference <= 1e-4
    batch = np.stack(IMAGES[:3])
    outputs = in_runtime(path.read_bytes(), ("fusion", "global", "box"))(batch)
    with torch.inference_mode():
        whole = tiny_network()(torch.from_numpy(batch))
    expected = calibration().probabilities(np.repeat(whole.global_.numpy()[None], 3, 0))[1]
    np.testing.assert_allclose(outputs["global"], expected, atol=2e-2)  # weights are rounded to float16
    np.testing.assert_array_equal(outputs["fusion"], outputs["global"])


def test_another_decision_than_the_evaluated_one_is_refused(tmp_path: Path) -> None:
    path, single = tmp_path / "agcnn.onnx", without_second_look(tiny_network())
    with pytest.raises(ExportError, match="evaluated with a second look, but is to be exported without it"):
        export(single, of_global(calibration()), evaluated(), IMAGES, path)
    with pytest.raises(ExportError, match="evaluated without a second look, but is to be exported with it"):
        export(tiny_network(), calibration(), EVALUATED, IMAGES, path)
    slope = of_global(calibration()).slope.copy()
    slope[0, 3] += 0.1
    with pytest.raises(ExportError, match="fusion's must equal global's"):
        export(single, replace(of_global(calibration()), slope=slope), EVALUATED, IMAGES, path)
    assert not path.exists()
