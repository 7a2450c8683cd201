"""The profile `observe`: Prometheus finds the containers of another profile and reads their metrics."""

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.docker.deployment import Deployment, wait_for

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    return deploy("default observe", "prometheus")


@pytest.fixture(scope="module")
def api(deployment: Deployment) -> str:
    deployment.up("service", "prometheus")
    url = f"http://127.0.0.1:{deployment.ports['PROMETHEUS']}"
    wait_for(f"{url}/-/ready")  # it has no health check for which the engine would wait
    return f"{url}/api/v1"


def test_both_are_confined_and_pinned_and_on_this_machine_only(deployment: Deployment) -> None:
    services = deployment.config()["services"]

    assert set(services) == {"service", "prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        service = services[name]
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert [port["host_ip"] for port in service["ports"]] == ["127.0.0.1"]
        assert all(volume["type"] == "volume" or volume["read_only"] for volume in service["volumes"])
    assert set(services["grafana"]["networks"]) == {"boards"}  # it reaches Prometheus alone
    assert [port["target"] for port in services["service"]["ports"]] == [8000]
    assert deployment.config()["networks"]["metrics"]["internal"] is True


def test_prometheus_finds_the_service_and_reads_it(api: str) -> None:
    [series] = query(api, 'triage_ready{job="triage"} == 1')

    assert series["metric"]["instance"].endswith(":9464")
    assert query(api, 'up{job="triage"} == 1')
    rules = evaluated_rules(api)
    assert {rule["health"] for rule in rules} == {"ok"}
    assert {rule["state"] for rule in rules} <= {"inactive", "pending"}


def evaluated_rules(api: str) -> list[dict[str, Any]]:
    """Return the rules, once none is `unknown`: the first evaluation may come after the first metrics."""
    deadline = time.monotonic() + 90
    while True:
        rules = list(httpx.get(f"{api}/rules", timeout=30).json()["data"]["groups"][0]["rules"])
        if all(rule["health"] != "unknown" for rule in rules) or time.monotonic() > deadline:
            return rules
        time.sleep(1)


def query(api: str, expression: str) -> list[dict[str, Any]]:
    """Return the series of an expression, once there are any."""
    deadline = time.monotonic() + 90
    while True:
        found = httpx.get(f"{api}/query", params={"query": expression}, timeout=30).json()["data"]["result"]
        if found:
            return list(found)
        assert time.monotonic() < deadline, expression
        time.sleep(1)
