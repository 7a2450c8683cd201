import asyncio
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.region import region
from service.dicom.policy import Policy
from service.dicom.vocabulary import Meaning
from service.inference.session import Outputs, Session
from service.objects.drawing import Drawing
from service.prediction.predictor import Predictor, policy
from service.settings import Gate
from tests.artefacts import tiny_artefact, tiny_card, tiny_typicality
from tests.factories import dicom_bytes, noise
from tests.service.serving import settings_for

TAU = 0.7


def blob(x: float, y: float, width: float) -> np.ndarray:
    """Return `[14, 14] float32 in [0, 1]`: a Gaussian with its maximum at (x, y), both in [0, 1] of the canvas."""
    centres = (np.arange(14) + 0.5) / 14
    hill = np.exp(-((centres - x) ** 2 + (centres[:, None] - y) ** 2) / (2 * width**2))
    return ((hill - hill.min()) / (hill.max() - hill.min())).astype(np.float32)


def outputs(heat: np.ndarray) -> Outputs:
    x0, y0, x1, y1 = region(torch.from_numpy(heat)[None], TAU)[0].tolist()
    half = np.full(14, 0.5, np.float32)
    return Outputs(half, half, half, heat, np.stack([heat] * 14), (x0, y0, x1, y1))


@pytest.mark.parametrize("rule", ["pad", "stretch"])
@pytest.mark.parametrize(
    ("height", "width", "aspect"), [(300, 500, [1, 1]), (500, 300, [1, 1]), (300, 300, [2, 1])], ids=str
)
def test_the_box_is_around_the_region_that_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str, height: int, width: int, aspect: list[int]
) -> None:
    heat = blob(0.55, 0.45, 0.2)
    artefact = tiny_artefact(tmp_path, preprocessing={"canvas_size": 128, "resize": rule})
    data = dicom_bytes(noise(height, width), PixelAspectRatio=aspect)

    async def predict() -> tuple[list[int], bytes]:
        predictor = Predictor(settings_for(artefact, tmp_path))
        async with predictor.running():
            monkeypatch.setattr(Session, "run", lambda _, canvases: [outputs(heat)] * len(canvases))
            record = await predictor.infer(await predictor.prepare(data))
            return list(record.prediction.box), await predictor.draw(record, data, Drawing("heat_map"))

    box, png = asyncio.run(predict())
    with Image.open(BytesIO(png)) as picture:
        drawn = np.asarray(picture, np.float64) / 65535
    rows, columns = np.nonzero(drawn > TAU)

    assert drawn.shape == (height, width)
    assert len(rows) < height * width / 2
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert np.abs(np.subtract(box, edges)).max() <= 2


@pytest.mark.parametrize(("threshold", "last"), [(1e-6, ["atypical_image"]), (1e6, [])])
def test_an_atypical_image_is_flagged_after_the_flags_of_the_attributes(
    artefact: Path, tmp_path: Path, threshold: float, last: list[str]
) -> None:
    statistics = tiny_card(artefact)["statistics"] | {"typicality": tiny_typicality(threshold)}
    with_typicality = tiny_artefact(tmp_path, statistics=statistics)

    async def predict(path: Path) -> list[str]:
        predictor = Predictor(settings_for(path, tmp_path))
        async with predictor.running():
            record = await predictor.infer(await predictor.prepare(dicom_bytes(noise(300, 300), ViewPosition=None)))
            return list(record.prediction.flags)

    without, flags = asyncio.run(predict(artefact)), asyncio.run(predict(with_typicality))
    assert "view_position_missing" in without
    assert flags == without + last


def test_the_settings_of_the_gate_are_its_policy() -> None:
    gate = Gate(
        chest_words=("c1", "c2"),
        other_part_words=("p",),
        frontal_words=("f",),
        lateral_words=("l",),
        other_view_words=("o",),
        neutral_words=("n",),
        minimum_age=16,
    )

    assert policy(Gate()) == Policy()
    assert policy(gate) == Policy(
        (
            (Meaning.CHEST, "c1"),
            (Meaning.CHEST, "c2"),
            (Meaning.OTHER_PART, "p"),
            (Meaning.FRONTAL, "f"),
            (Meaning.LATERAL, "l"),
            (Meaning.OTHER_VIEW, "o"),
            (Meaning.NEUTRAL, "n"),
        ),
        16,
    )
