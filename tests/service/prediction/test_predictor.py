import asyncio
import json
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.region import region
from service.cage_settings import Confinement
from service.dicom.policy import Policy
from service.dicom.vocabulary import Meaning
from service.errors import UnsuitableImage
from service.inference.session import Outputs, Session
from service.objects.drawing import Drawing
from service.prediction.decoder_settings import policy
from service.prediction.predictor import Predictor
from service.settings import Gate, Limits
from service.triage.prediction import Prediction
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
def test_statistics_of_the_card_flag_an_atypical_image_and_scale_the_maps(
    artefact: Path, tmp_path: Path, threshold: float, last: list[str]
) -> None:
    references = dict.fromkeys(tiny_card(artefact)["labels"], 1.5)
    statistics = tiny_card(artefact)["statistics"] | {"typicality": tiny_typicality(threshold)}
    statistics["class_map_quantile"] = references
    with_typicality = tiny_artefact(tmp_path, statistics=statistics)

    async def predict(path: Path) -> Prediction:
        predictor = Predictor(settings_for(path, tmp_path))
        async with predictor.running():
            record = await predictor.infer(await predictor.prepare(dicom_bytes(noise(300, 300), ViewPosition=None)))
            return record.prediction

    without, flagged = asyncio.run(predict(artefact)), asyncio.run(predict(with_typicality))
    assert "view_position_missing" in without.flags
    assert list(flagged.flags) == [*without.flags, *last]
    assert {finding.map_reference for finding in without.findings} == {None}
    assert {finding.label: finding.map_reference for finding in flagged.findings} == references


def test_a_site_sets_words_and_a_minimum_age(artefact: Path, tmp_path: Path) -> None:
    gate = Gate(chest_words=("Thx",), minimum_age=10)
    settings = settings_for(artefact, tmp_path).model_copy(update={"gate": gate})
    twelve, nine = (dicom_bytes(noise(300, 300), BodyPartExamined="THX", PatientAge=age) for age in ("012Y", "009Y"))

    async def predict() -> tuple[str, ...]:
        predictor = Predictor(settings)
        async with predictor.running():
            with pytest.raises(UnsuitableImage) as refusal:
                await predictor.prepare(nine)
            assert [reason.code for reason in refusal.value.reasons] == ["patient_too_young"]
            return (await predictor.infer(await predictor.prepare(twelve))).prediction.flags

    assert asyncio.run(predict()) == ("low_resolution", "paediatric")


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


@pytest.mark.parametrize(("mode", "lines"), [("off", 1), ("auto", 0)])
def test_what_the_cage_lacks_is_logged_once_at_the_start(
    artefact: Path, tmp_path: Path, log: StringIO, mode: str, lines: int
) -> None:
    limits = Limits(decode_workers=2)
    settings = settings_for(artefact, tmp_path, limits).model_copy(update={"decoders": Confinement(cage=mode)})

    async def start() -> tuple[str, ...]:
        predictor = Predictor(settings)
        async with predictor.running():
            return predictor.cage.missing

    missing = asyncio.run(start())
    if mode == "auto" and missing:
        pytest.skip(f"this kernel has no cage: {'; '.join(missing)}")
    warnings = [line for line in map(json.loads, log.getvalue().splitlines()) if line["level"] == "warning"]
    assert [line["missing"] for line in warnings] == [["TRIAGE_DECODERS__CAGE is off"]] * lines
