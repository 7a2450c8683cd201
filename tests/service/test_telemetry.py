import json
import logging
from io import StringIO

import pytest
import structlog

from service.telemetry import Stopwatch, configure, describe, request
from service.telemetry import log as logger


def test_a_line_is_one_json_object_with_the_request_id(log: StringIO) -> None:
    with request("abc"):
        logger().info("predicted", ms=1.5)
    logger().info("after")

    first, second = map(json.loads, log.getvalue().splitlines())
    assert (first["event"], first["ms"], first["request_id"], first["level"]) == ("predicted", 1.5, "abc", "info")
    assert "request_id" not in second
    assert first["time"].endswith("Z")


def test_a_person_at_a_terminal_gets_no_json(log: StringIO) -> None:
    terminal = StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    configure(terminal)

    logger().info("ready")

    assert "ready" in terminal.getvalue()
    assert "{" not in terminal.getvalue()


@pytest.mark.parametrize("name", ["pydicom", "PIL.Image", "sqlalchemy.engine", "asyncio", "uvicorn.access", "httpx"])
def test_other_libraries_are_not_heard(log: StringIO, name: str) -> None:
    logging.getLogger(name).critical("Canary")
    logging.getLogger(name).warning("Canary")

    assert log.getvalue() == ""


def test_of_a_servers_exception_only_kind_and_place_are_logged(log: StringIO) -> None:
    try:
        raise ValueError("Canary")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")

    line = json.loads(log.getvalue())
    assert (line["event"], line["error"]) == ("Exception in ASGI application", "ValueError")
    assert "Canary" not in log.getvalue()


def test_an_error_is_described_without_its_text() -> None:
    def fail() -> None:
        raise KeyError("Canary")

    with pytest.raises(KeyError) as caught:
        fail()

    described = describe(caught.value)
    assert described["error"] == "KeyError"
    assert "Canary" not in json.dumps(described)
    assert json.dumps(described).rstrip('"]}').endswith("fail")


def test_a_stage_is_timed_also_where_it_fails() -> None:
    timings = {"read": 1.0}
    watch = Stopwatch(timings)

    with pytest.raises(ValueError, match="x"), watch.stage("store"):
        raise ValueError("x")

    assert list(timings) == ["read", "store"]
    assert timings["store"] >= 0


def test_nothing_stays_bound() -> None:
    with request("abc"):
        pass

    assert "request_id" not in structlog.contextvars.get_contextvars()
