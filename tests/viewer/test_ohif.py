"""OHIF's built viewer in Chromium shows what the service has, through nginx with the profile's configuration."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser

from service.objects.kinds import Kind
from tests.ports import free_port
from tests.service.dicom.conformance.picture import picture
from tests.service.dicom.conformance.syntaxes import SYNTAXES, Syntax, chosen
from tests.service.dicom.conformance.variations import stored, wrap
from tests.service.web.chromium import chromium
from tests.service.web.running import post, running
from tests.viewer.front import PASSWORD, USER, compose_configuration, nginx
from tests.viewer.ohif import SOFTWARE, Ohif

ENCODINGS, RESULTS = "2.25.6001", "2.25.6002"
NO_SPACING = 99  # number of the series with a Pixel Spacing of zero
DRAWN = [[30.0, 40.0], [110.0, 40.0], [30.0, 110.0], [90.0, 110.0]]  # points of measurements, column and row
PICTURE = picture()[::2, ::2]  # less to encode, to draw on and to load


def radiograph(syntax: Syntax, study: str, number: int, **elements: object) -> bytes:
    """Return the picture in a transfer syntax, at 12 bits if it can, as a series of its own.

    That of an even number is upside down, so that a viewer that does not follow from one to the next is noticed.
    """
    depth = chosen("12" if "12" in syntax.depths else "8")
    dataset, pixels = wrap(depth), stored(depth)[::2, ::2][:: 1 if number % 2 else -1]
    dataset.Rows, dataset.Columns, dataset.PixelData = *pixels.shape, pixels.tobytes()
    uids = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.{number}",
        "SOPInstanceUID": f"{study}.{number}.1",
    }
    texts = {"PatientID": "VIEWER", "PatientName": "Viewer^Vera", "SeriesDescription": syntax.name}
    for keyword, value in (uids | texts | {"SeriesNumber": number, "PixelSpacing": [0.6, 0.6]} | elements).items():
        setattr(dataset, keyword, value)
    return syntax.encode(dataset)


@dataclass(frozen=True)
class Site:
    """OHIF in front of a service that requires keys and has two studies; the box is that of `RESULTS`, in pixels."""

    address: str
    box: tuple[int, int, int, int]


@pytest.fixture(scope="module")
def site(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("viewer")
    port = free_port()
    with running(artefact, folder, TRIAGE_HTTP__KEYS="always", TRIAGE_HTTP__PROXIES='["127.0.0.1"]') as client:
        key = (folder / "data" / "first_key").read_text().strip()
        configuration = compose_configuration(folder, port, client.base_url, key)
        client.headers["Authorization"] = f"Bearer {key}"
        for number, syntax in enumerate(SYNTAXES, 1):
            post(client, radiograph(syntax, ENCODINGS, number))
        post(client, radiograph(SYNTAXES[1], ENCODINGS, NO_SPACING, PixelSpacing=[0, 0]))
        result = post(client, radiograph(SYNTAXES[1], RESULTS, 1))
        for kind, number in (("length", 2), ("angle", 3), ("cardiothoracic_ratio", 4)):
            body = {"kind": kind, "points": DRAWN[:number]}
            assert client.post(result["links"]["measurements"], json=body).status_code == 201
        box = result["box"]
        with nginx(folder, configuration):
            yield Site(f"http://127.0.0.1:{port}", tuple(box))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(*SOFTWARE) as browser:
        yield browser


@pytest.fixture
def ohif(browser: Browser, site: Site) -> Iterator[Ohif]:
    ohif = Ohif(browser, site.address)
    yield ohif
    ohif.close()


def placed(shot: np.ndarray) -> tuple[int, int]:
    """Return left edge and width of the radiograph in a viewport, which it fills from top to bottom."""
    width = round(shot.shape[0] * PICTURE.shape[1] / PICTURE.shape[0])
    return (shot.shape[1] - width) // 2, width


def is_the_picture(shot: np.ndarray, number: int = 1) -> bool:
    """Whether a viewport shows the picture of a series with its window, but for the edges, where OHIF has texts."""
    (left, width), height = placed(shot), shot.shape[0]
    there = np.ascontiguousarray(PICTURE[:: 1 if number % 2 else -1])
    expected = np.asarray(Image.fromarray(there).resize((width, height), Image.Resampling.BILINEAR)) / 255
    inner = (slice(height // 6, -height // 6), slice(width // 6, -width // 6))
    shown = shot[:, left : left + width].mean(axis=2)
    return float(np.abs(shown - expected)[inner].mean()) < 0.03


def colourful(shot: np.ndarray) -> float:
    """Return the share of the radiograph's pixels that are not grey."""
    left, width = placed(shot)
    return float((np.ptp(shot[:, left : left + width], axis=2) > 0.1).mean())


def has_upright_lines(shot: np.ndarray, *columns: int) -> bool:
    """Whether there is a dashed green line, from top to bottom, at each column of the radiograph."""
    left, width = placed(shot)
    green = shot[..., 1] - np.maximum(shot[..., 0], shot[..., 2]) > 0.3
    places = [left + round(column * width / PICTURE.shape[1]) for column in columns]
    return all(green[:, place - 3 : place + 4].any(axis=1).mean() > 0.3 for place in places)


def yellow(shot: np.ndarray) -> float:
    """Return the share of the viewport that is yellow, as OHIF draws measurements of an SR that is not chosen."""
    return float((shot[..., :2].min(axis=2) - shot[..., 2] > 0.5).mean())


def test_the_study_list_shows_the_studies(ohif: Ohif) -> None:
    assert len(ohif.studies("Viewer, Vera", 2)) == 2
    assert ohif.complaints == []


def test_it_shows_a_radiograph_in_every_transfer_syntax_and_one_with_a_spacing_of_zero(ohif: Ohif) -> None:
    """One study, so that OHIF starts once; PS3.3 10.7.1.3 forbids a spacing of zero, but old files have it."""
    names = {number: syntax.name for number, syntax in enumerate(SYNTAXES, 1)} | {NO_SPACING: "no spacing"}
    ohif.open(ENCODINGS, *(f"{ENCODINGS}.{number}" for number in names))

    black = []
    for number, name in names.items():
        if not ohif.series(number).shows(partial(is_the_picture, number=number)):
            black.append(name)

    assert black == []
    assert ohif.complaints == []


def test_it_shows_the_objects_made_from_a_radiograph(ohif: Ohif, site: Site) -> None:
    ohif.open(RESULTS)
    assert ohif.shows(is_the_picture)

    assert ohif.series(Kind.SECONDARY_CAPTURE.form.series_number).shows(lambda shot: colourful(shot) > 0.1)

    left, _, right, _ = site.box

    def opens_the_report() -> bool:
        ohif.series(1).shows(is_the_picture, seconds=10)
        report = ohif.series(Kind.SR.form.series_number)
        return report.shows(lambda shot: has_upright_lines(shot, left, right), seconds=10)

    # OHIF may load the report after it has drawn, and draws the box when it is opened again after another series.
    assert any(opens_the_report() for _ in range(6))
    assert ohif.shows(lambda shot: yellow(shot) > 0.001), "measurements"

    ohif.series(Kind.BINARY_SEGMENTATION.form.series_number)
    ohif.page.get_by_text("Do you want to open this Segmentation?").wait_for()
    assert ohif.shows(lambda shot: colourful(shot) > 0.2)
    assert ohif.complaints == []


def test_nobody_reads_without_a_password_and_nobody_writes(site: Site) -> None:
    login = (USER, PASSWORD)
    studies = "/dicom-web/studies"

    with httpx.Client(base_url=site.address, timeout=60) as front:
        assert [front.get("/").status_code, front.get(studies).status_code] == [401, 401]
        assert front.get(studies, auth=(USER, "guess")).status_code == 401
        assert front.get(studies, auth=login).status_code == 200
        assert front.post(studies, auth=login).status_code == 403
        assert front.get("/v1/predictions", auth=login).headers["content-type"].startswith("text/html")
