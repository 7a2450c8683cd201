"""A small artefact of other labels than ChestX-ray14's, without a second look, with codes and an untrained label."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from model.agcnn import without_second_look
from service.artefact.card import NOTICE, SCHEMA
from tests.artefacts import CANVAS, CONFIG, tiny_network
from training.evaluation.calibration import Calibration
from training.export.fused_graph import FusedGraph, to_onnx
from training.export.golden import choose_golden
from training.export.outputs import in_runtime
from training.fit.served_weights import as_served

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
    """Write `five.onnx` into `folder`; `card_overrides` replace entries of the card."""
    model, card = _made()
    path = folder / "five.onnx"
    _write(path, model, card | card_overrides)
    return path


def _write(path: Path, model: bytes, card: dict[str, Any]) -> None:
    whole = onnx.load_from_string(model)
    whole.metadata_props.add(key="agcnn", value=json.dumps(card))
    path.write_bytes(whole.SerializeToString(deterministic=True))


@cache
def _made() -> tuple[bytes, dict[str, Any]]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # other test processes need the cores
    try:
        network = as_served(without_second_look(tiny_network(config=replace(CONFIG, findings=len(LABELS)))))
        graph = FusedGraph(network, Calibration(np.ones((3, len(LABELS))), np.zeros((3, len(LABELS)))))
        model = to_onnx(graph).SerializeToString()
        return model, _card(choose_golden(in_runtime(model, graph.output_names), CANVAS))
    finally:
        torch.set_num_threads(threads)


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
