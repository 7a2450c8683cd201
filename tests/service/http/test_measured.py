"""Requests, problems and refusals are counted, with labels that no client chooses."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service import metrics
from tests.factories import dicom_bytes, noise
from tests.service.metered import counted, samples, text
from tests.service.serving import Client, serving, settings_for

HAND = {"BodyPartExamined": "HAND", "ViewPosition": "LL"}
Difference = Callable[[], float]


@pytest.fixture(scope="module")
def client(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serving(settings_for(artefact, tmp_path_factory.mktemp("data"))) as client:
        yield client


def since(name: str, **labels: str) -> Difference:
    """Return a function that returns by how much a series has grown."""
    before = counted(name, **labels)
    return lambda: counted(name, **labels) - before


@pytest.mark.parametrize(
    ("method", "path", "route", "counted_as", "status"),
    [
        ("GET", "/v1/predictions", "/v1/predictions", "GET", "200"),
        ("GET", f"/v1/predictions/{'0' * 32}", "/v1/predictions/{id}", "GET", "404"),
        ("HEAD", "/v1/predictions", "/v1/predictions", "HEAD", "200"),
        ("DELETE", "/v1/predictions", "other", "DELETE", "405"),
        ("POST", "/v1/predictions", "/v1/predictions", "POST", "415"),
        ("GET", "/web/viewer/none.css", "/web/{path:path}", "GET", "404"),
        ("GET", "/tweety", "other", "GET", "404"),
        ("TWEETY", "/tweety", "other", "other", "404"),
        ("GET", "/readyz", "/readyz", "GET", "200"),
    ],
)
def test_a_request_counts_by_route_method_and_status(
    client: Client, method: str, path: str, route: str, counted_as: str, status: str
) -> None:
    requests = since("triage_http_requests_total", route=route, method=counted_as, status=status)
    timed = since("triage_http_request_seconds_count", route=route)

    assert client.request(method, path).status_code == int(status)

    assert (requests(), timed()) == (1, 1)


def test_a_problem_counts_by_its_code(client: Client) -> None:
    problems = {
        code: since("triage_problems_total", code=code) for code in ("not_found", "not_dicom", "invalid_request")
    }

    client.get("/v1/nothing")
    client.post(b"no DICOM")
    client.get("/v1/predictions?limit=tweety")

    assert [difference() for difference in problems.values()] == [1, 1, 1]


def test_a_refused_file_counts_once_and_under_each_reason(client: Client) -> None:
    files = since("triage_refused_files_total")
    hand, view, other = (
        since("triage_refusals_total", reason=reason)
        for reason in ("body_part_unsuitable", "view_unsuitable", "not_dicom")
    )

    assert client.post(dicom_bytes(noise(seed=1), **HAND)).status_code == 422
    client.post_files(("a", b"no DICOM"), ("b", b"none either"))
    client.get(f"/v1/predictions/{'0' * 32}")  # no file

    assert files() == 3
    assert (hand(), view(), other()) == (1, 1, 2)


def test_a_prediction_counts_once_with_its_findings_and_stages(client: Client) -> None:
    data = dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.3")
    stages = {stage: since("triage_stage_seconds_count", stage=stage) for stage in metrics.STAGES}
    seconds = {stage: since("triage_stage_seconds_sum", stage=stage) for stage in metrics.STAGES}
    priorities = {name: since("triage_predictions_total", priority=name) for name in ("STAT", "HIGH", "ROUTINE")}
    runs, images = since("triage_batch_images_count"), since("triage_batch_images_sum")
    labels = client.pipeline.predictor.artefact.card.labels
    findings = {label: since("triage_findings_total", label=label) for label in labels}

    body = client.post(data).json()
    assert client.post(data).json() == body  # known by now

    assert {name: difference() for name, difference in priorities.items() if difference()} == {body["priority"]: 1}
    assert {name for name, difference in findings.items() if difference()} == {
        finding["label"] for finding in body["findings"] if finding["positive"]
    }
    assert [difference() for difference in stages.values()] == [1] * 6
    for stage, difference in seconds.items():
        assert difference() == pytest.approx(body["timings_ms"][stage] / 1e3)
    assert (runs(), images()) == (1, 1)


def test_no_client_can_add_a_series(client: Client) -> None:
    """Whatever it sends, the same series count it."""

    def provoke() -> None:
        word = secrets.token_hex(8)
        client.request(word.upper(), f"/{word}")
        client.request(word.upper(), "/v1/predictions")
        client.get(f"/v1/predictions/{word}", headers={"Authorization": f"Bearer {word}", "X-Request-Id": word})
        client.get("/v1/predictions", params={word: word, "limit": word})
        client.post(word.encode(), f"{word}/{word}")
        client.post(dicom_bytes(noise(seed=3), Modality=word[:16].upper(), SOPInstanceUID=f"2.25.{int(word, 16)}"))

    provoke()
    before = samples(text([metrics.REGISTRY])).keys()
    for _ in range(10):
        provoke()

    assert samples(text([metrics.REGISTRY])).keys() == before
