"""A small artefact of other labels than ChestX-ray14's, without a second look, with codes and an untrained label."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.utils
from onnx import helper, numpy_helper

from service.artefact.card import NOTICE, SCHEMA
from service.artefact.file import output_names
from tests.artefacts import CANVAS, CONFIG, GRID, tiny_artefact
from training.export.golden import choose_golden
from training.export.outputs import in_runtime

PNEUMOTHORAX, LONG, ACCENTED, CODED, UNTRAINED = LABELS = (
    "Pneumothorax",
    "Enlarged Cardiomediastinum",
    "Épanchement_pleural",
    "Lung Opacity",
    "Fracture",
)
CODES = {
    CODED: {
        "finding": {"value": "128601007", "scheme": "SCT", "meaning": "Lung opacity"},
        "site": {"value": "39607008", "scheme": "SCT", "meaning": "Lung"},
    }
}


def five_label_artefact(folder: Path, **card_overrides: Any) -> Path:
    """Write `five.onnx` into `folder`; `card_overrides` replace entries of the card.

    The graph is the part of `tiny_artefact` that gives the first five labels of the global branch, which is made faster
    than another export.
    """
    model = _graph(onnx.load(tiny_artefact(folder)))
    golden = choose_golden(in_runtime(model.SerializeToString(), output_names(second_look=False)), CANVAS)
    model.metadata_props.add(key="agcnn", value=json.dumps(_card(golden) | card_overrides))
    path = folder / "five.onnx"
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def _graph(whole: onnx.ModelProto) -> onnx.ModelProto:
    model = onnx.utils.Extractor(whole).extract_model(["image"], ["global", "class_maps", "heat_map", "box"])
    graph = model.graph
    for node in graph.node:
        node.output[:] = [f"{name}.all" if name in ("global", "class_maps") else name for name in node.output]
    for name, values in {"first": [0], "end": [len(LABELS)], "axis": [1]}.items():
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    for name in ("global", "class_maps"):
        graph.node.append(helper.make_node("Slice", [f"{name}.all", "first", "end", "axis"], [name]))
    graph.node.append(helper.make_node("Identity", ["global"], ["fusion"]))
    shapes = {"fusion": [], "global": [], "class_maps": [GRID, GRID]}
    kept = [output for output in graph.output if output.name not in shapes]
    del graph.output[:]
    graph.output.extend(kept)
    for name, grid in shapes.items():
        shape = ["batch", len(LABELS), *grid]
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    return model


def _card(golden: dict[str, object]) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "notice": NOTICE,
        "name": "five labels",
        "version": "1",
        "git_commit": "unknown",
        "created": "2026-01-01T00:00:00+00:00",
        "labels": LABELS,
        # Thresholds that every image reaches, and none
        "operating_points": [_point(1e-6), _point(1e-6), _point(1e-6), _point(1.0), None],
        "training_data": [],
        "metrics": [],
        "statistics": {"pixel_mean": [0.5, 0.1], "probability": {label: [0.4, 0.1] for label in LABELS}},
        "preprocessing": {"canvas_size": CANVAS, "resize": "stretch"},
        "network": {
            **{"backbone": CONFIG.backbone, "input_size": CONFIG.input_size, "tau": CONFIG.tau},
            **{"pooling": CONFIG.pooling, "second_look": False},
        },
        "golden": golden,
        "codes": CODES,
        "untrained": [UNTRAINED],
    }


def _point(threshold: float) -> dict[str, Any]:
    return {
        **{"threshold": threshold, "sensitivity": 0.4, "specificity": 0.95, "positives": 30, "negatives": 300},
        **{"sensitivity_interval": [0.3, 0.5], "specificity_interval": [0.9, 0.98], "source": "tests"},
    }
