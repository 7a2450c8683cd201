"""Each attention mechanism from end to end: an exported and served network answers as in torch."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.labels import LABELS
from service.dicom.canvas import canvas
from service.dicom.radiograph import radiograph
from tests.artefacts import CANVAS, CONFIG, calibration, evaluated, smooth_canvases, tiny_network
from tests.conftest import ROOT
from tests.model.thin import thin
from tests.service.serving import serving, settings_for
from training.export.export import export
from training.fit.served_weights import as_served

PHANTOM = ROOT / "samples" / "effusion.dcm"
TOLERANCE = 1e-4  # difference of probabilities


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("backbone", ["resnet50", "se_resnet50", "sasa_resnet50", "nonlocal_resnet50"])
def test_a_served_network_answers_as_torch(backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thin(monkeypatch)
    network = tiny_network(config=replace(CONFIG, backbone=backbone))
    path = tmp_path / "agcnn.onnx"
    export(network, calibration(), evaluated(), smooth_canvases(64), path)

    with serving(settings_for(path, tmp_path / "data")) as client:
        response = client.post(PHANTOM.read_bytes())
        body = response.json()
        picture = client.get(body["links"]["overlay"])

    sent = radiograph(PHANTOM.read_bytes())
    image = torch.from_numpy(canvas(sent.values, CANVAS, "stretch", sent.header.aspect))
    with torch.inference_mode():
        answer = as_served(network)(image[None])
    logits = np.stack([answer.fusion, answer.global_, answer.local])
    expected = calibration().probabilities(logits)[:, 0].T  # [14, 3]
    got = [[finding[name] for name in ("probability", "global", "local")] for finding in body["findings"]]

    assert response.status_code == 200
    assert [finding["label"] for finding in body["findings"]] == list(LABELS)
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected[:, 0]) > 10 * TOLERANCE  # findings have different probabilities
    assert body["priority"] in {"STAT", "HIGH", "ROUTINE"}
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).mode == "RGB"
