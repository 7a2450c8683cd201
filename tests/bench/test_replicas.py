import ssl

import httpx

from bench import replicas
from tests.docker.load import Load, Sender, summary


def test_what_a_test_prints_is_a_row() -> None:
    def refusal(code: str) -> httpx.Response:
        return httpx.Response(503, json={"code": code})

    sender = Sender("", {}, ssl.create_default_context(), lambda: b"")
    sender.refusals += [refusal("overloaded"), refusal("not_ready"), refusal("overloaded"), httpx.ReadError("")]
    load = Load(sender.post, acknowledged=["a", "b", "c"], refused=1, cut=["d"])

    line = summary(load, sender, ["/v1/predictions/a"])
    lines = ["4 passed", f"measured: one killed: {line}", "measured: image 5 MB"]

    assert replicas.rows(lines) == [["one killed", "3", "1 not_ready, 2 overloaded", "1", "2", "1"]]


def test_nothing_that_went_wrong_is_said_so() -> None:
    sender = Sender("", {}, ssl.create_default_context(), lambda: b"")

    line = summary(Load(sender.post, acknowledged=["a"]), sender, [])

    assert replicas.rows([f"measured: update: {line}"]) == [["update", "1", "none", "0", "0", "0"]]
