"""Traces by OpenTelemetry: a span for each request and one for each stage of a prediction.

They are off unless the standard variable OTEL_EXPORTER_OTLP_ENDPOINT, or that of the traces alone, names a collector.
Only then are the packages of the extra `traces` imported. A span holds codes and numbers of the service and no value of
a request or a file: neither path, query, header nor the text of an exception. A trace begins here, whatever the request
says of one: `request_id` leads to the lines of the log.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from threading import Thread
from typing import TYPE_CHECKING

from service.telemetry import log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

Attributes = dict[str, str | int]

_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NAME = "agcnn-triage"
_SHUTDOWN_SECONDS = 2.0
_tracer: ContextVar["Tracer | None"] = ContextVar("tracer", default=None)


class Traces:
    """The spans of this process.

    Parameters
    ----------
    provider
        Where they go; None: there are none. It is not made the global one, through which FastAPI would trace each
        request with its path and query.
    """

    def __init__(self, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        self._tracer = None if provider is None else provider.get_tracer(_NAME)

    @contextmanager
    def request(self) -> Iterator[Attributes]:
        """Trace a request.

        Yields
        ------
        dict
            Becomes the attributes of the span, and its method and route the name.
        """
        attributes: Attributes = {}
        if self._tracer is None:
            yield attributes
            return
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, StatusCode, use_span

        span = self._tracer.start_span(_NAME, Context(), SpanKind.SERVER)
        token = _tracer.set(self._tracer)
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield attributes
        finally:
            _tracer.reset(token)
            span.update_name(f"{attributes.get('http.request.method')} {attributes.get('http.route')}")
            span.set_attributes(attributes)
            if int(attributes.get("http.response.status_code", 0)) >= 500:
                span.set_status(StatusCode.ERROR)
            span.end()

    def close(self) -> None:
        """Send what is left, within two seconds, and end the thread that sends. Blocking."""
        if self._provider is not None:  # whose own bound is not kept: it tries again for ten seconds
            shutdown = Thread(target=self._provider.shutdown, daemon=True)
            shutdown.start()
            shutdown.join(_SHUTDOWN_SECONDS)


def from_environment() -> Traces:
    """Return the traces that the standard variables ask for."""
    if not any(map(os.environ.get, _VARIABLES)):
        return Traces()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log().warning("no traces are sent: the extra `traces` is not installed")
        return Traces()
    name = os.environ.get("OTEL_SERVICE_NAME") or _NAME
    resource = Resource.create({"service.name": name, "service.version": version(_NAME)})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Traces(provider)


def stages(spent_ms: Mapping[str, float]) -> None:
    """Add a span for each of the stages that have just ended, one after the other, to the request in progress.

    Parameters
    ----------
    spent_ms
        Milliseconds by stage, in the order in which they were.
    """
    tracer = _tracer.get()
    if tracer is None:
        return
    start = time.time_ns() - sum(map(_nanoseconds, spent_ms.values()))
    for stage, milliseconds in spent_ms.items():
        end = start + _nanoseconds(milliseconds)
        tracer.start_span(stage, start_time=start).end(end)
        start = end


def _nanoseconds(milliseconds: float) -> int:
    return round(milliseconds * 1e6)
