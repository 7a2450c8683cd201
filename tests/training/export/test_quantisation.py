"""Quantisation of the tiny artefact, whose network has a second look."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

from service.artefact.file import load
from service.errors import ArtefactError
from service.inference.session import Session
from tests.artefacts import CANVAS, smooth_canvases, tiny_artefact, tiny_card, tiny_typicality
from training.cli.app import app
from training.export import golden, quantisation
from training.export.quantised_graph import has_vnni, trunk_nodes


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    (tmp_path / "float").mkdir()
    path = tiny_artefact(tmp_path / "float")
    statistics = tiny_card(path)["statistics"] | {"typicality": tiny_typicality(1.0)}
    return tiny_artefact(tmp_path / "float", statistics=statistics)


def quantise(artefact: Path, data: Path, output: Path, *options: str) -> str:
    result = CliRunner().invoke(
        app, ["quantise", str(artefact), "--data", str(data), "--output", str(output), "--images", "8", *options]
    )
    return result.output if result.exit_code == 0 else f"{result.exit_code}: {result.output}"


def test_a_quantised_artefact_is_served_and_says_what_it_was_made_from(
    artefact: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "MAX_AUROC_CHANGE", 1)  # 8 images and an untrained network
    monkeypatch.setattr(quantisation, "MIN_BOX_IOU", 0.2)
    output = tmp_path / "int8.onnx"

    said = quantise(artefact, published, output, "--reduce-range")

    assert f"{output}: 7-bit weights, ranges of 8 images\ntiny val, 8 images: macro AUROC" in said
    assert "agcnn typical" in said
    loaded = load(output)
    entry = loaded.card.quantisation
    assert entry is not None
    assert entry.derived_from == hashlib.sha256(artefact.read_bytes()).hexdigest()
    assert (entry.calibration, entry.calibration_images, entry.weight_bits) == ("tiny train", 8, 7)
    assert entry.largest_difference > 0
    assert loaded.card.statistics.typicality is None
    before, after = load(artefact).card, loaded.card
    assert after.operating_points == before.operating_points
    assert after.metrics == before.metrics
    session = Session(loaded, "cpu", 1)
    session.prove()
    images = np.stack(smooth_canvases(4))
    outputs = [each.fusion for each in session.run(images)]
    floats = [each.fusion for each in Session(load(artefact), "cpu", 1).run(images)]
    assert 0 < np.abs(np.subtract(outputs, floats)).mean() < 0.05
    kinds = [node.op_type for node in onnx.load(output).graph.node]
    assert kinds.count("QuantizeLinear") > 40

    assert "is quantised already" in quantise(output, published, tmp_path / "again.onnx")

    model = onnx.load(output)
    scale = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("weight_scale"))
    scale.CopyFrom(onnx.numpy_helper.from_array(2 * onnx.numpy_helper.to_array(scale), scale.name))
    output.write_bytes(model.SerializeToString())
    with pytest.raises(ArtefactError, match="golden self-test on cpu"):
        Session(load(output), "cpu", 1).prove()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"auroc_float": 0.8, "auroc": 0.7949}, "the macro AUROC on d val moves from 0.8000 to 0.7949"),
        ({"auroc_float": 0.7949, "auroc": 0.8}, "the macro AUROC on d val moves"),
        ({"box_iou": 0.8999}, "of at least 0.9, got 0.900"),
    ],
)
def test_an_artefact_that_says_something_else_is_refused(changed: dict[str, Any], words: str) -> None:
    entry = {"source": "d val", "auroc_float": 0.8, "auroc": 0.7951, "box_iou": 0.9}
    quantisation._check(entry)

    with pytest.raises(quantisation.QuantisationError, match=words):
        quantisation._check(entry | changed)


def test_nothing_is_written_if_it_is_refused(
    artefact: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantisation, "MAX_AUROC_CHANGE", -1)
    output = tmp_path / "int8.onnx"

    said = quantise(artefact, published, output, "--full-range")

    assert said.startswith("2: ") or said.startswith("1: ")
    assert "the macro AUROC on tiny val moves" in said
    assert not output.exists()


def test_the_first_convolution_of_each_trunk_and_what_lies_between_the_trunks_stay_float(artefact: Path) -> None:
    graph = onnx.load(artefact).graph
    for node in graph.node:  # as if the tensors were stored wide
        if node.op_type == "Cast" and node.input[0].endswith(".stored"):
            next(tensor for tensor in graph.initializer if tensor.name == node.input[0]).name = node.output[0]
    chosen = set(trunk_nodes(graph))

    layers = [node for node in graph.node if node.op_type == "Conv" and "features" in node.input[1]]
    stay = [node.input[1] for node in layers if node.name not in chosen]
    assert len(layers) == 50  # 25 of SqueezeNet 1.1 in each branch
    assert [name.split(".")[1] for name in stay] == ["global_branch", "local_branch"]
    assert {node.op_type for node in graph.node if node.name in chosen} == {"Conv", "Relu", "Concat"}


def test_the_overlap_of_boxes() -> None:
    first = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1], [0, 0, 0.2, 0.2]])
    second = np.array([[0, 0, 1, 1], [0.25, 0, 1, 1], [0.5, 0.5, 1, 1]])

    np.testing.assert_allclose(quantisation.overlap(first, second), [1, 0.25, 0])


def test_a_golden_input_whose_outputs_are_rounded_otherwise_is_not_chosen() -> None:
    """The outputs jump if the first square of the canvas is near a multiple of 1 / 255."""

    def run(canvas: np.ndarray) -> dict[str, np.ndarray]:
        step = np.floor(canvas[:, 0, 0, 0] * 1e5)[:, None] / 1e5 * 100 % 1
        return {"fusion": step, "heat_map": np.zeros((1, 2, 2)), "box": np.array([[0, 0, 1, 1]])}

    entry, tolerance = golden.choose_quantised_golden(run, CANVAS)

    assert tolerance == golden.LEAST
    assert entry["fusion"] is not None
    assert json.dumps(entry)
    with pytest.raises(ValueError, match="too far"):
        golden.choose_quantised_golden(lambda canvas: {**run(canvas), "heat_map": 1e6 * canvas[:, 0]}, CANVAS)


def test_vnni_is_read_from_the_flags_of_the_processor(tmp_path: Path) -> None:
    information = tmp_path / "cpuinfo"
    information.write_text("processor : 0\nflags : fpu avx2 fma\n")
    assert not has_vnni(information)
    information.write_text("processor : 0\nflags : fpu avx2 avx_vnni\n")
    assert has_vnni(information)
    assert not has_vnni(tmp_path / "none")
