"""Each attention mechanism from end to end: an exported and served network answers as in torch.

The time is that of the export, which grows with the number of operators. Both branches have the same backbone, so that
one network with a second look is enough; the others with it are left to `make soak`.
"""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.agcnn import without_second_look
from model.labels import LABELS
from service.dicom.canvas import canvas
from service.dicom.radiograph import radiograph
from tests.artefacts import CANVAS, CONFIG, calibration, evaluated, of_global, smooth_canvases, tiny_network
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


@pytest.mark.parametrize(
    ("backbone", "second_look"),
    [
        ("resnet50", False),
        ("se_resnet50", True),
        ("sasa_resnet50", False),
        ("nonlocal_resnet50", False),
        pytest.param("resnet50", True, marks=pytest.mark.soak),
        pytest.param("sasa_resnet50", True, marks=pytest.mark.soak),
        pytest.param("nonlocal_resnet50", True, marks=pytest.mark.soak),
    ],
)
def test_a_served_network_answers_as_torch(
    backbone: str, second_look: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thin(monkeypatch)
    network, fitted = tiny_network(config=replace(CONFIG, backbone=backbone)), calibration()
    if not second_look:
        network, fitted = without_second_look(network), of_global(fitted)
    path = tmp_path / "agcnn.onnx"
    export(network, fitted, evaluated() | {"second_look": second_look}, smooth_canvases(64), path)

    with serving(settings_for(path, tmp_path / "data")) as client:
        response = client.post(PHANTOM.read_bytes())
        body = response.json()
        picture = client.get(body["links"]["overlay"])

    sent = radiograph(PHANTOM.read_bytes())
    image = torch.from_numpy(canvas(sent.values, CANVAS, "stretch", sent.header.aspect))
    with torch.inference_mode():
        answer = as_served(network)(image[None])
    names = ["probability", "global", "local"] if second_look else ["probability", "global"]
    logits = [answer.fusion, answer.global_, answer.local if second_look else answer.global_]
    expected = fitted.probabilities(np.stack(logits))[: len(names), 0].T  # [14, 3], or 2
    got = [[finding[name] for name in names] for finding in body["findings"]]

    assert response.status_code == 200
    assert [finding["label"] for finding in body["findings"]] == list(LABELS)
    assert second_look or {finding["local"] for finding in body["findings"]} == {None}
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)
    assert np.ptp(expected[:, 0]) > 10 * TOLERANCE  # findings have different probabilities
    assert body["priority"] in {"STAT", "HIGH", "ROUTINE"}
    assert picture.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(picture.content)).mode == "RGB"
