import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from model.agcnn import Agcnn, without_second_look
from model.heat_map import Statistic
from model.labels import LABELS
from service.artefact.file import OUTPUTS, load
from tests.artefacts import (
    CANVAS,
    CONFIG,
    EPOCH,
    calibration,
    evaluated,
    of_global,
    smooth_canvases,
    tiny_export,
    tiny_network,
)
from tests.model.thin import thin
from training.evaluation.calibration import Calibration
from training.export import export as module
from training.export.export import BATCHES, ExportError, ExportReport, export
from training.export.fused_graph import FusedGraph, banned_operators
from training.export.outputs import in_runtime
from training.fit.served_weights import as_served

IMAGES = smooth_canvases(64)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Other test processes need the other cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ExportReport]:
    path = tmp_path_factory.mktemp("export") / "agcnn.onnx"
    data, report = tiny_export()
    path.write_bytes(data)
    return path, report


@pytest.fixture(scope="module")
def model(exported: tuple[Path, ExportReport]) -> onnx.ModelProto:
    return onnx.load(exported[0])


class TestFile:
    def test_report(self, exported: tuple[Path, ExportReport]) -> None:
        path, report = exported
        assert 0 < report.difference <= 1e-4
        assert 0 <= report.box_difference <= 1
        assert 0 < report.rounding < 0.1
        assert report.size == path.stat().st_size

    def test_weights_are_stored_in_16_bits(self, exported: tuple[Path, ExportReport]) -> None:
        parameters = sum(parameter.numel() for parameter in tiny_network().parameters())
        assert 2 * parameters < exported[1].size < 2.2 * parameters

    def test_needs_no_other_file(self, model: onnx.ModelProto) -> None:
        assert not [tensor for tensor in model.graph.initializer if tensor.external_data]

    def test_signature(self, model: onnx.ModelProto) -> None:
        def shapes(tensors: Sequence[onnx.ValueInfoProto]) -> dict[str, list[Any]]:
            return {
                tensor.name: [dim.dim_param or dim.dim_value for dim in tensor.type.tensor_type.shape.dim]
                for tensor in tensors
            }

        assert shapes(model.graph.input) == {"image": ["batch", 1, CANVAS, CANVAS]}
        assert shapes(model.graph.output) == {
            "fusion": ["batch", 14],
            "global": ["batch", 14],
            "local": ["batch", 14],
            "heat_map": ["batch", 3, 3],
            "class_maps": ["batch", 14, 3, 3],
            "box": ["batch", 4],
        }
        assert tuple(shapes(model.graph.output)) == OUTPUTS
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]

    def test_operators(self, model: onnx.ModelProto) -> None:
        assert not {"Loop", "If", "Scan", "ScatterND"} & {node.op_type for node in model.graph.node}

    def test_contains_no_trace_of_the_machine(self, exported: tuple[Path, ExportReport], root: Path) -> None:
        data = exported[0].read_bytes()
        traces = (
            str(root),
            str(Path.home()),
            torch.__file__,
            "site-packages",
            "stack_trace",
            ".py",
            "class_hierarchy",
        )
        assert not [word for word in traces if word.encode() in data]

    def test_card(self, model: onnx.ModelProto) -> None:
        assert [entry.key for entry in model.metadata_props] == ["agcnn"]
        card = json.loads(model.metadata_props[0].value)
        assert card["schema"] == "agcnn-triage/artefact/1"
        assert card["labels"] == list(LABELS)
        assert card["created"] == "2023-11-14T22:13:20+00:00"
        assert card["preprocessing"] == {"canvas_size": 128, "resize": "stretch"}
        assert card["network"] == {
            **{"backbone": "squeezenet1_1", "input_size": 64, "tau": 0.7},
            **{"pooling": "max", "statistic": "max", "crop_from": "canvas"},
        }
        assert {name: card[name] for name in evaluated()} == evaluated()
        assert len(card["golden"]["fusion"]) == 14

    def test_the_card_includes_the_model_card_but_no_unknown_entry(self, exported: tuple[Path, ExportReport]) -> None:
        runtime = in_runtime(exported[0].read_bytes(), OUTPUTS)
        card = module._card(CONFIG, {**evaluated(), "model_card": {"caveats": 1}, "other": 2}, runtime)
        assert card["model_card"] == {"caveats": 1}
        assert "other" not in card

    def test_export_is_reproducible_also_from_the_served_weights(
        self, exported: tuple[Path, ExportReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        export(as_served(tiny_network()), calibration(), evaluated(), IMAGES, tmp_path / "again.onnx")
        assert list(tmp_path.iterdir()) == [tmp_path / "again.onnx"]
        assert (tmp_path / "again.onnx").stat().st_mode & 0o444 == 0o444
        assert (tmp_path / "again.onnx").read_bytes() == exported[0].read_bytes()


# Backbones that `tests/service/test_systems.py` does not cover. At 64 pixels the hybrid's maps are small enough for
# dense attention; the network of that test uses the halo.
@pytest.mark.parametrize(
    ("backbone", "statistic"), [("densenet121", "max"), ("se_densenet121", "l1"), ("hybrid_resnet50", "max")]
)
def test_other_backbones_give_equal_outputs_in_onnx_runtime(
    backbone: str, statistic: Statistic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(monkeypatch)
    network = without_second_look(tiny_network(config=replace(CONFIG, backbone=backbone, statistic=statistic)))
    card = evaluated() | {"second_look": False}
    report = export(network, of_global(calibration()), card, IMAGES, tmp_path / "agcnn.onnx")
    assert report.difference <= 1e-4
    assert report.box_difference <= 1


def test_an_output_for_no_finding_is_not_served() -> None:
    network = tiny_network(config=replace(CONFIG, findings=15))
    canvas = torch.from_numpy(np.stack(IMAGES[:3]))
    with torch.inference_mode():
        plain = network(canvas)
        outputs = dict(zip(OUTPUTS, FusedGraph(network, calibration())(canvas), strict=True))
    logits = np.stack([plain.fusion.numpy(), plain.global_.numpy(), plain.local.numpy()])
    assert logits.shape == (3, 3, 15)
    for name, expected in zip(OUTPUTS, calibration().probabilities(logits[..., :14]), strict=False):
        np.testing.assert_allclose(outputs[name], expected, atol=1e-5)
    np.testing.assert_array_equal(outputs["class_maps"], plain.class_maps[:, :14])


def test_labels_of_their_own_are_exported_without_no_finding_and_the_card_describes_them(tmp_path: Path) -> None:
    labels = ("Effusion", "Fracture", "Lung lesion", "Pneumothorax", "Pacemaker")
    network = tiny_network(config=replace(CONFIG, findings=6, statistic="l2", crop_from="input"))
    codes = {concept: {"value": "1", "scheme": "99SITE", "meaning": concept} for concept in ("finding", "site")}
    own = {"labels": labels, "codes": {"Fracture": codes}, "untrained": ["Pacemaker"]}
    path = tmp_path / "agcnn.onnx"
    export(network, calibration(5), evaluated(labels) | own, IMAGES, path)
    model = onnx.load(path)
    dims = {tensor.name: tensor.type.tensor_type.shape.dim for tensor in model.graph.output}
    assert [dims[name][1].dim_value for name in ("fusion", "global", "local", "class_maps")] == [5] * 4
    card = load(path).card
    assert (card.labels, card.untrained) == (labels, ("Pacemaker",))
    assert card.codes["Fracture"].site.meaning == "site"
    assert (card.network.statistic, card.network.crop_from) == ("l2", "input")


def test_calibration_is_in_the_graph() -> None:
    canvas = torch.from_numpy(np.stack(IMAGES[:3]))
    with torch.inference_mode():
        plain = tiny_network()(canvas)
        outputs = FusedGraph(tiny_network(), calibration())(canvas)
    logits = np.stack([plain.fusion.numpy(), plain.global_.numpy(), plain.local.numpy()])
    np.testing.assert_allclose(np.stack(outputs[:3]), calibration().probabilities(logits), atol=1e-5)
    np.testing.assert_array_equal(outputs[5], plain.box)


class TestRefusals:
    """Each refusal is one line, and nothing is written."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "agcnn.onnx"

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, path: Path) -> Any:
        yield
        assert list(path.parent.iterdir()) == []

    def test_no_folder(self, path: Path) -> None:
        with pytest.raises(ExportError, match="nowhere is not a folder"):
            export(tiny_network(), calibration(), evaluated(), IMAGES, path.parent / "nowhere" / path.name)

    def test_too_few_images(self, path: Path) -> None:
        with pytest.raises(ExportError, match="at least 64 images to compare on, got 63"):
            export(tiny_network(), calibration(), evaluated(), IMAGES[:63], path)

    def test_images_of_another_shape(self, path: Path) -> None:
        with pytest.raises(ExportError, match=r"image 0: expected float32 \[1, 128, 128\], got float32 \[1, 64, 64\]"):
            export(tiny_network(), calibration(), evaluated(), smooth_canvases(64, 64), path)

    @pytest.mark.parametrize("kind", ["noise", "flat"])
    def test_flat_or_noisy_images(self, path: Path, kind: str) -> None:
        image = np.zeros((1, CANVAS, CANVAS), np.float32)
        if kind == "noise":
            image += np.random.default_rng(0).random(image.shape, dtype=np.float32)
        with pytest.raises(ExportError, match="image 5 is flat or noise"):
            export(tiny_network(), calibration(), evaluated(), [*IMAGES[:5], image, *IMAGES[5:]], path)

    def test_a_card_without_a_required_entry(self, path: Path) -> None:
        card = evaluated()
        del card["statistics"]
        with pytest.raises(ExportError, match="the card has no statistics"):
            export(tiny_network(), calibration(), card, IMAGES, path)

    def test_a_card_without_any_score(self, path: Path) -> None:
        """As of a run whose images have no finding."""
        card = evaluated()
        card["metrics"] = [row | {"value": None} for row in card["metrics"]]
        with pytest.raises(ExportError, match="the card has no AUROC of any label"):
            export(tiny_network(), calibration(), card, IMAGES, path)

    @pytest.mark.parametrize("bias", [np.zeros((3, 13)), np.full((3, 14), np.nan)])
    def test_a_calibration_that_does_not_fit(self, path: Path, bias: np.ndarray) -> None:
        with pytest.raises(ExportError, match=r"calibration: bias must be finite and \[3, 14\]"):
            export(tiny_network(), Calibration(np.ones((3, 14)), bias), evaluated(), IMAGES, path)

    def test_findings_without_a_label(self, path: Path) -> None:
        with pytest.raises(ExportError, match="expected 14 findings, or 15 with No Finding, got 2"):
            export(Agcnn(replace(CONFIG, findings=2)), calibration(), evaluated(), IMAGES, path)

    def test_a_weight_beyond_float16(self, path: Path) -> None:
        network = tiny_network()
        network.fusion.classifier.weight.data[0, 0] = 1e6
        with pytest.raises(ExportError, match=r"fusion\.classifier\.weight has a weight beyond float16's range"):
            export(network, calibration(), evaluated(), IMAGES, path)


class Shifted:
    """Outputs that are wrong in one place, at one batch size only."""

    def __init__(self, name: str, by: float, batch: int) -> None:
        self.name, self.by, self.batch = name, by, batch

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        outputs = {name: np.zeros((len(batch), 4), np.float32) for name in OUTPUTS}
        if len(batch) == self.batch:
            outputs[self.name][-1] = self.by
        return outputs


REFERENCE = {name: np.zeros((64, 4), np.float32) for name in OUTPUTS}


class TestComparison:
    @pytest.mark.parametrize("batch", BATCHES)
    @pytest.mark.parametrize(
        ("name", "by"),
        [("fusion", 2e-4), ("global", -2e-4), ("local", 2e-4), ("heat_map", 2e-4), ("box", 1.1 / 128), ("box", np.nan)],
    )
    def test_too_large_a_difference_is_refused(self, batch: int, name: str, by: float) -> None:
        with pytest.raises(ExportError, match=f"batch {batch}: torch and ONNX Runtime differ by"):
            module._compare(REFERENCE, Shifted(name, by, batch), IMAGES)

    def test_the_largest_difference_is_reported(self) -> None:
        assert module._compare(REFERENCE, Shifted("local", 5e-5, 3), IMAGES) == pytest.approx((5e-5, 0))
        assert module._compare(REFERENCE, Shifted("box", 0.5 / 128, 8), IMAGES) == pytest.approx((0, 0.5))


@pytest.mark.parametrize(
    ("nodes", "banned"),
    [
        ([helper.make_node("Relu", ["x"], ["y"])], []),
        (
            [helper.make_node("ScatterND", ["x", "i", "u"], ["y"]), helper.make_node("Loop", ["n"], ["z"])],
            ["Loop", "ScatterND"],
        ),
        ([helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], ["Gelu"]),
    ],
)
def test_banned_operators(nodes: list[onnx.NodeProto], banned: list[str]) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    assert banned_operators(helper.make_model(helper.make_graph(nodes, "g", [value], [value]))) == banned


def test_a_card_that_is_not_plain_json() -> None:
    with pytest.raises(ExportError, match="the card is not plain JSON"):
        module._json({"metrics": float("nan")})


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "agcnn.onnx"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", lambda number: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        module.write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
