import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.dicom.unwindowed import Preset, Unwindowed
from service.http.pixels import Maps
from tests.factories import dicom_bytes, noise
from tests.service.dicom.test_unwindowed import viewed
from tests.service.serving import Client, serving, settings_for

HEIGHT, WIDTH = 260, 300
KINDS: dict[str, dict[str, Any]] = {
    "window": {"WindowCenter": 2000, "WindowWidth": 1500, "ImagerPixelSpacing": [0.2, 0.3]},
    "sigmoid": {"WindowCenter": 2000, "WindowWidth": 1500, "VOILUTFunction": "SIGMOID"},
    "rescaled": {"RescaleSlope": "0.1", "RescaleIntercept": "-3", "WindowCenter": 180, "WindowWidth": 300},
    "inverse": {"PhotometricInterpretation": "MONOCHROME1", "PatientOrientation": ["L", "F"]},
    "none": {"WindowCenter": None, "WindowWidth": None},
    "padded": {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 900, "PhotometricInterpretation": "MONOCHROME1"},
}


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


@pytest.fixture(scope="module")
def links(client: Client) -> dict[str, str]:
    files = {
        kind: dicom_bytes(noise(HEIGHT, WIDTH), SOPInstanceUID=f"2.25.{number}", **elements)
        for number, (kind, elements) in enumerate(KINDS.items(), 1)
    }
    return {kind: client.post(file).json()["links"]["self"] for kind, file in files.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_with_the_first_window_match_the_drawn_image(client: Client, links: dict[str, str], kind: str) -> None:
    """To within one grey level of the PNG that the service draws."""
    response = client.get(f"{links[kind]}/pixels")

    header = json.loads(response.headers["x-pixels"])
    codes = np.frombuffer(response.content, "<u2").reshape(header.pop("rows"), header.pop("columns"))
    windows = tuple(Preset(**window) for window in header["windows"])
    image = Unwindowed(**(header | {"codes": codes, "windows": windows}))
    with Image.open(BytesIO(client.get(f"{links[kind]}/image.png").content)) as picture:
        expected = np.asarray(picture, np.float64) / 255
    assert codes.shape == (HEIGHT, WIDTH)
    assert np.abs(viewed(image, image.windows[0]) - expected).max() <= 1 / 255
    assert response.headers["content-type"] == "application/octet-stream"


def test_the_header_describes_the_pixels(client: Client, links: dict[str, str]) -> None:
    headers = {kind: json.loads(client.get(f"{links[kind]}/pixels").headers["x-pixels"]) for kind in KINDS}

    assert list(headers["window"]) == [
        *("rows", "columns", "slope", "intercept", "padding", "invert", "voi_lut"),
        *("windows", "spacing", "spacing_from", "aspect", "orientation"),
    ]
    assert (headers["window"]["spacing"], headers["window"]["spacing_from"]) == ([0.2, 0.3], "ImagerPixelSpacing")
    assert headers["window"]["aspect"] == pytest.approx(2 / 3)
    assert headers["window"]["windows"][0] == {"name": "window 1", "center": 2000, "width": 1500, "function": "LINEAR"}
    assert (headers["inverse"]["invert"], headers["inverse"]["orientation"]) == (True, ["L", "F"])
    assert (headers["none"]["padding"], headers["padded"]["padding"]) == (None, 65535)


@pytest.mark.parametrize("part", ["pixels", "maps.json"])
def test_a_browsers_copy_is_not_sent_again(client: Client, links: dict[str, str], part: str) -> None:
    path = f"{links['window']}/{part}"
    first = client.get(path)
    tag = first.headers["etag"]
    again = client.get(path, headers={"If-None-Match": tag})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert first.headers["cache-control"] == again.headers["cache-control"] == "private, no-cache"
    assert client.get(f"{links['none']}/{part}").headers["etag"] != tag


def test_maps_are_those_of_the_record(client: Client, links: dict[str, str]) -> None:
    response = client.get(f"{links['window']}/maps.json")

    maps = Maps.model_validate_json(response.content)
    record = client.pipeline._records.get(links["window"].rpartition("/")[2])
    assert np.abs(np.array(maps.heat_map) - record.heat_map).max() <= 0.5e-5
    labels = [finding.label for finding in record.prediction.findings]
    assert list(maps.class_maps) == labels
    for label, expected in zip(labels, record.class_maps, strict=True):
        assert np.abs(np.array(maps.class_maps[label]) - expected).max() <= 0.5e-5 + 1e-6 * np.abs(expected).max()
    assert list(maps.content) == list(record.prediction.content)
    assert maps.references == {finding.label: finding.map_reference for finding in record.prediction.findings}


@pytest.mark.parametrize("part", ["pixels", "maps.json"])
def test_an_unknown_prediction_is_404(client: Client, part: str) -> None:
    assert client.get(f"/v1/predictions/{'0' * 32}/{part}").status_code == 404


def test_pixels_take_a_place_and_maps_do_not(client: Client, links: dict[str, str]) -> None:
    """Pixels must be decoded; maps are stored."""
    with client.pipeline.places.spare(10_000):
        assert client.get(f"{links['window']}/pixels").status_code == 503
        assert client.get(f"{links['window']}/maps.json").status_code == 200
