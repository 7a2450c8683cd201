"""Spans of requests and stages: off by default, and without a value of a request or a file."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service import metrics, traces
from service.http.app import create_app
from service.traces import Traces
from tests.conftest import ROOT
from tests.factories import dicom_bytes, noise
from tests.service import planted
from tests.service.serving import Client, client_of, serving, settings_for
from tests.service.stub import Stub, stub

ATTRIBUTES = {"http.request.method", "http.route", "http.response.status_code", "request_id"}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def client(
    artefact: Path, tmp_path: Path, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "from_environment", lambda: Traces(provider))
    with serving(settings_for(artefact, tmp_path)) as client:
        yield client


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def milliseconds(span: ReadableSpan) -> float:
    assert span.start_time is not None
    assert span.end_time is not None
    return (span.end_time - span.start_time) / 1e6


def test_a_prediction_is_a_request_with_its_stages(client: Client, exporter: InMemorySpanExporter) -> None:
    answer = client.post(dicom_bytes(noise(seed=1)))
    *stages, request = exporter.get_finished_spans()

    assert request.name == "POST /v1/predictions"
    assert request.parent is None
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/v1/predictions",
        "http.response.status_code": 200,
        "request_id": answer.headers["X-Request-Id"],
    }
    assert [span.name for span in stages] == list(metrics.STAGES)
    for span in stages:
        assert span.parent == request.context
        assert milliseconds(span) == pytest.approx(answer.json()["timings_ms"][span.name], abs=0.002)
        assert span.end_time <= request.end_time
    assert not trace.get_current_span().is_recording()


def test_a_trace_begins_here_and_takes_nothing_from_the_request(client: Client, exporter: InMemorySpanExporter) -> None:
    theirs = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{theirs}-b7ad6b7169203331-01", "tracestate": "tweety=1", "baggage": "tweety=1"}

    client.get("/v1/predictions", headers=headers)

    [span] = exporter.get_finished_spans()
    assert span.parent is None
    assert f"{span.context.trace_id:032x}" != theirs
    assert not span.context.trace_state


def test_probes_are_not_traced(client: Client, exporter: InMemorySpanExporter) -> None:
    client.get("/readyz")
    client.get("/livez")

    assert exporter.get_finished_spans() == ()


def test_spans_hold_no_planted_value(
    client: Client, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError(planted.WORDS)

    headers = {"X-Request-Id": planted.DATE, "Referer": planted.WORDS, "Content-Type": "application/dicom"}
    for data in (planted.file(1), planted.file(1, seed=1), planted.file(2, Modality="TWEETY"), b"Tweety"):
        client.request("POST", "/v1/predictions", content=data, headers=headers)
    for path in (planted.WORDS, f"v1/predictions/{planted.DATE}", f"dicom-web/studies/2.25.7771?q={planted.DATE}"):
        client.get(f"/{path}", headers=headers)
        client.request("TWEETY", f"/{path}", headers=headers)
    monkeypatch.setattr("service.prediction.pipeline.Pipeline.predict", fail)
    assert client.post(planted.file(3)).status_code == 500

    spans = exporter.get_finished_spans()
    assert {attributes(span).get("http.response.status_code") for span in spans} >= {200, 400, 404, 409, 422, 500}
    for span in spans:
        assert not planted.in_text(span.to_json())
        assert attributes(span).keys() <= ATTRIBUTES
        assert not span.events
    failed = next(span for span in spans if attributes(span).get("http.response.status_code") == 500)
    assert (failed.status.is_ok, failed.status.description) == (False, None)


@pytest.fixture
def collector() -> Iterator[Stub]:
    with stub() as collector:
        yield collector


def test_spans_are_sent_to_the_collector_that_the_variable_names(
    artefact: Path, tmp_path: Path, collector: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That FastAPI's own traces stay off, test_canary.py shows with a server."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    with client_of(create_app(settings_for(artefact, tmp_path))) as client:
        client.get(f"/v1/predictions/{planted.DATE}?{planted.DATE}={planted.DATE}")

    deadline = time.monotonic() + 60
    while not collector.received:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for headers, body in collector.received:
        assert {name.lower(): value for name, value in headers.items()}["content-type"] == "application/x-protobuf"
        assert b"agcnn-triage" in body
        assert b"/v1/predictions/{id}" in body
        assert not planted.in_text(body)
    assert type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider"


def test_without_the_variable_nothing_is_imported() -> None:
    script = (
        "import sys; from service import traces; import service.http.app; import service.cli.app;"
        "traces.from_environment(); print([name for name in sys.modules if name.startswith('opentelemetry.sdk') or "
        "name.startswith('opentelemetry.exporter')])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_the_extra_a_line_says_so(log: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://127.0.0.1:9/v1/traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)

    absent = traces.from_environment()

    with absent.request() as attributes:
        traces.stages({"read": 1.0})
    absent.close()
    assert attributes == {}
    assert "the extra `traces` is not installed" in log.getvalue()


def test_a_collector_that_is_down_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter tries for seven seconds; in this test, until the end was seen."""
    seen, tried = threading.Event(), threading.Event()

    def export(*_: object) -> SpanExportResult:
        seen.wait(60)
        tried.set()
        return SpanExportResult.FAILURE

    monkeypatch.setattr(OTLPSpanExporter, "export", export)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    others = threading.enumerate()
    there = traces.from_environment()
    with there.request():
        traces.stages({"read": 1.0})

    there.close()

    assert not tried.is_set()
    seen.set()
    for thread in set(threading.enumerate()) - set(others):
        thread.join(60)
        assert not thread.is_alive()
    assert tried.is_set()
