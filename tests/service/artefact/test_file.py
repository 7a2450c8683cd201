import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model.labels import LABELS
from service.artefact.file import Artefact, load
from service.errors import ArtefactError
from tests.artefacts import CANVAS, tiny_artefact, tiny_card, tiny_typicality
from tests.training.report import documents
from training.report.model_card import model_card

CODES = {
    "finding": {"value": "52515009", "scheme": "SCT", "meaning": "Hernia"},
    "site": {"value": "816094009", "scheme": "SCT", "meaning": "Chest"},
}


def refusal(path: Path, sha256: str | None = None) -> str:
    with pytest.raises(ArtefactError) as caught:
        load(path, sha256)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.removeprefix(f"{path}: ")


def save(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "other.onnx"
    path.write_bytes(model.SerializeToString())
    return path


class TestLoad:
    def test_returns_card_and_digest(self, artefact: Artefact) -> None:
        assert artefact.card.labels == LABELS
        assert artefact.card.preprocessing.canvas_size == CANVAS
        assert artefact.card.operating_points[-1] is None
        assert artefact.card.operating_points[0] is not None
        assert artefact.card.name == "agcnn-squeezenet1_1"
        assert artefact.sha256 == hashlib.sha256(artefact.path.read_bytes()).hexdigest()

    def test_accepts_the_expected_digest(self, artefact: Artefact) -> None:
        assert load(artefact.path, artefact.sha256).sha256 == artefact.sha256

    def test_the_card_round_trips(self, artefact: Artefact) -> None:
        written = tiny_card(artefact.path)
        read = json.loads(artefact.card.model_dump_json())
        assert written.pop("created").replace("+00:00", "Z") == read.pop("created")
        assert read == written

    def test_a_card_without_statistic_and_crop_from_has_their_defaults(
        self, artefact: Artefact, tmp_path: Path
    ) -> None:
        network = {
            name: value
            for name, value in tiny_card(artefact.path)["network"].items()
            if name not in {"statistic", "crop_from"}
        }
        card = load(tiny_artefact(tmp_path, network=network)).card
        assert (card.network.statistic, card.network.crop_from, card.model_card) == ("max", "canvas", None)

    def test_a_model_card_round_trips(self, tmp_path: Path) -> None:
        written = model_card(documents.document(), documents.metrics_document())
        card = load(tiny_artefact(tmp_path, model_card=written)).card
        assert card.model_dump(mode="json", by_alias=True)["model_card"] == written

    def test_typicality_round_trips(self, artefact: Artefact, tmp_path: Path) -> None:
        written = tiny_card(artefact.path)["statistics"] | {"typicality": tiny_typicality(2.5)}
        card = load(tiny_artefact(tmp_path, statistics=written)).card
        assert card.model_dump(mode="json")["statistics"] == written
        assert artefact.card.statistics.typicality is None  # in artefacts of older versions

    def test_optional_fields_round_trip_and_are_absent_by_default(self, artefact: Artefact, tmp_path: Path) -> None:
        plain = tiny_card(artefact.path)
        added: dict[str, Any] = {"codes": {"Hernia": CODES}, "untrained": ["Hernia", "Edema"]}
        added["statistics"] = plain["statistics"] | {"class_map_quantile": dict.fromkeys(LABELS, 1.5)}
        card = load(tiny_artefact(tmp_path, **added)).card.model_dump(mode="json", by_alias=True)
        assert {name: card[name] for name in added} == added
        older = artefact.card.model_dump(mode="json", by_alias=True)
        assert not {"codes", "untrained"} & older.keys()
        assert "second_look" not in older["network"]
        assert "class_map_quantile" not in older["statistics"]
        assert artefact.card.network.second_look


class TestRefusals:
    def test_no_file(self, tmp_path: Path) -> None:
        assert "cannot be read (No such file" in refusal(tmp_path / "none.onnx")

    def test_a_folder(self, tmp_path: Path) -> None:
        assert "cannot be read" in refusal(tmp_path)

    def test_another_digest(self, artefact_path: Path) -> None:
        assert "expected SHA-256 " + "0" * 64 in refusal(artefact_path, "0" * 64)

    @pytest.mark.parametrize("data", [b"", b"DICM" * 100, b"\x00" * 1000])
    def test_not_onnx(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "x.onnx"
        path.write_bytes(data)
        assert "not an ONNX file" in refusal(path)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
    def test_truncated(self, artefact_path: Path, tmp_path: Path, share: float) -> None:
        data = artefact_path.read_bytes()
        path = tmp_path / "x.onnx"
        path.write_bytes(data[: int(len(data) * share)])
        assert "not an ONNX file, or truncated" in refusal(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"mean": [0.0] * 127}, "mean: expected 128 entries for labels and grid, got 127"),
            ({"factor": [[1.0]] * 128}, "factor: expected 128 rows of 1 to 128 entries"),
            ({"threshold": 0.0}, "threshold: Input should be greater than 0"),
        ],
    )
    def test_typicality_of_another_network(
        self, artefact: Artefact, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        statistics = tiny_card(artefact.path)["statistics"] | {"typicality": tiny_typicality(2.5) | change}
        assert refusal(tiny_artefact(tmp_path, statistics=statistics)).endswith(f"statistics.typicality.{message}")

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ({"codes": {"Fracture": CODES}}, "codes: unknown label"),
            ({"untrained": ["Fracture"]}, "untrained: unknown label"),
            (
                {"codes": {"Hernia": CODES | {"site": {"value": "1" * 17, "scheme": "SCT", "meaning": "Chest"}}}},
                "codes.Hernia.site.value: String should have at most 16 characters",
            ),
        ],
    )
    def test_entries_of_other_labels_or_too_long(self, tmp_path: Path, entries: dict[str, Any], message: str) -> None:
        assert message in refusal(tiny_artefact(tmp_path, **entries))

    def test_quantiles_of_other_labels(self, artefact: Artefact, tmp_path: Path) -> None:
        statistics = tiny_card(artefact.path)["statistics"] | {"class_map_quantile": {"Hernia": 1.0}}
        message = refusal(tiny_artefact(tmp_path, statistics=statistics))
        assert "class_map_quantile: not one for each label" in message

    def test_no_card(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.ClearField("metadata_props")
        assert "no metadata entry 'agcnn'" in refusal(save(tmp_path, model))

    def test_a_card_that_is_not_json(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.metadata_props[0].value = "{"
        assert refusal(save(tmp_path, model)).startswith("agcnn: Invalid JSON")

    @pytest.mark.parametrize("place", ["beside", "absolute", "above"])
    def test_data_in_another_file(
        self, artefact_path: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)  # where ONNX Runtime would look by itself
        model = onnx.load(artefact_path)
        tensor = max(model.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        (tmp_path / "weights.bin").write_bytes(tensor.raw_data)
        length = len(tensor.raw_data)
        where = {
            "beside": "weights.bin",
            "absolute": str(tmp_path / "weights.bin"),
            "above": f"../{tmp_path.name}/weights.bin",
        }[place]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", where), ("offset", "0"), ("length", str(length))):
            tensor.external_data.add(key=key, value=value)
        assert "not self-contained" in refusal(save(tmp_path, model))

    def test_operators_of_another_domain(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.graph.node[-1].domain = "org.example"
        model.opset_import.append(helper.make_opsetid("org.example", 1))
        assert "uses operators that ONNX Runtime does not have: org.example:" in refusal(save(tmp_path, model))

    def test_a_graph_that_contradicts_itself(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.graph.node[-1].input[0] = "nowhere"
        assert refusal(save(tmp_path, model)).startswith("ONNX Runtime refuses it: ")

    def test_other_outputs(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        del model.graph.output[-1]
        assert refusal(save(tmp_path, model)).startswith(
            "expected image -> fusion, global, local, heat_map, class_maps, box"
        )

    def test_another_input(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.graph.input.append(helper.make_tensor_value_info("age", TensorProto.FLOAT, [1]))
        assert "got image, age ->" in refusal(save(tmp_path, model))

    def test_a_fixed_batch(self, artefact_path: Path, tmp_path: Path) -> None:
        model = onnx.load(artefact_path)
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
        assert refusal(save(tmp_path, model)).startswith("image: expected float ['B', 1, 128, 128]")

    def test_a_graph_that_is_no_network(self, artefact_path: Path, tmp_path: Path) -> None:
        tensor = numpy_helper.from_array(np.zeros(1, np.float32), "y")
        graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])], [tensor])
        model = helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])
        model.metadata_props.add(key="agcnn", value=onnx.load(artefact_path).metadata_props[0].value)
        assert "expected image ->" in refusal(save(tmp_path, model))


def changed(card: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """The top-level entry that holds `place` (dotted), with the value there replaced."""
    head, *path = place.split(".")
    target: Any = card
    for key in [head, *path][:-1]:
        target = target[int(key) if isinstance(target, list) else key]
    last = place.rsplit(".", 1)[-1]
    target[int(last) if isinstance(target, list) else last] = value
    return {head: card[head]}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("schema", "agcnn-triage/artefact/2", "agcnn.schema: Input should be 'agcnn-triage/artefact/1'"),
        ("notice", "For clinical use.", "agcnn.notice: "),
        ("name", "", "agcnn.name: "),
        ("git_commit", "HEAD", "agcnn.git_commit: "),
        ("created", "yesterday", "agcnn.created: "),
        ("created", "2026-01-01T00:00:00", "agcnn.created: "),
        ("labels", [], "agcnn.labels: "),
        ("labels.3", "", "agcnn.labels.3: "),
        ("labels.3", "Mass", "agcnn: labels: not unique"),
        ("labels.3", "Tuberculosis", "agcnn: statistics.probability: not one entry for each label"),
        ("operating_points", [None], "agcnn: operating_points: 1 entries for 14 labels"),
        ("operating_points.0.threshold", 1.5, "agcnn.operating_points.0.threshold: "),
        ("operating_points.0.threshold", "0.5", "agcnn.operating_points.0.threshold: "),
        ("operating_points.0.threshold", float("nan"), "agcnn.operating_points.0.threshold: "),
        ("operating_points.0.positives", -1, "agcnn.operating_points.0.positives: "),
        ("operating_points.0.extra", 1, "agcnn.operating_points.0.extra: Extra inputs are not permitted"),
        ("preprocessing.resize", "crop", "agcnn.preprocessing.resize: "),
        ("preprocessing.canvas_size", 100, "agcnn.preprocessing.canvas_size: "),
        ("preprocessing.canvas_size", 256, "image: expected float ['B', 1, 256, 256]"),
        ("network.pooling", "sum", "agcnn.network.pooling: "),
        ("network.statistic", "l3", "agcnn.network.statistic: "),
        ("network.crop_from", "crop", "agcnn.network.crop_from: "),
        ("network.tau", 7, "agcnn.network.tau: "),
        ("training_data.0.patients", -1, "agcnn.training_data.0.patients: "),
        ("metrics.0.label", "Tuberculosis", "agcnn: metrics: unknown label"),
        ("metrics.0.branch", "both", "agcnn.metrics.0.branch: "),
        ("statistics.pixel_mean", [0.5], "agcnn.statistics.pixel_mean"),
        ("golden.local", [0.5] * 13, "agcnn: golden.local: 13 entries for 14 labels"),
        ("golden.global.0", 2, "agcnn.golden.global.0: "),
        ("golden.heat_map", [], "agcnn.golden.heat_map: "),
        ("golden.heat_map.0", [0.5], "agcnn: golden.heat_map: rows differ in length"),
        ("golden.heat_map", [[0.5]], "heat_map: expected float ['B', 1, 1]"),
        ("golden.box", [0.5, 0, 0.5, 1], "agcnn: golden.box: empty"),
        ("surprise", 1, "agcnn.surprise: Extra inputs are not permitted"),
    ],
)
def test_a_card_that_does_not_fit(artefact_path: Path, tmp_path: Path, place: str, value: Any, message: str) -> None:
    card = tiny_card(artefact_path)
    assert refusal(tiny_artefact(tmp_path, **changed(card, place, value))).startswith(message)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("model_card.intended_use.out_of_scope", [], "agcnn.model_card.intended_use.out_of_scope: "),
        ("model_card.model_details.surprise", 1, "agcnn.model_card.model_details.surprise: Extra inputs"),
        ("model_card.evaluation_data.datasets.0.images", -1, "agcnn.model_card.evaluation_data.datasets.0.images: "),
        ("model_card", {}, "agcnn.model_card.model_details: Field required"),
    ],
)
def test_a_model_card_that_does_not_fit(tmp_path: Path, place: str, value: Any, message: str) -> None:
    card = {"model_card": model_card(documents.document(), documents.metrics_document())}
    assert refusal(tiny_artefact(tmp_path, **changed(card, place, value))).startswith(message)


@pytest.mark.parametrize("entry", ["schema", "labels", "operating_points", "golden", "metrics", "notice"])
def test_a_card_with_a_part_missing(tmp_path: Path, entry: str) -> None:
    assert refusal(tiny_artefact(tmp_path, **{entry: None})) == f"agcnn.{entry}: Field required"
