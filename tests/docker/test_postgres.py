"""The profile `postgres`: two replicas, one instance store, one database, behind TLS."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import httpx
import pytest

from tests.docker.deployment import Deployment, Engine, stamped
from tests.docker.load import Load

pytestmark = pytest.mark.docker

RAW = {"Content-Type": "application/dicom"}


@pytest.fixture(scope="module")
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    deployment = deploy("postgres", "database", "proxy")
    deployment.up()
    return deployment


@pytest.fixture(scope="module")
def replicas(deployment: Deployment) -> list[str]:
    containers = deployment.containers("replica")
    assert len(containers) == 2
    return [f"http://{deployment.engine.address(container)}:8000" for container in containers]


@pytest.fixture(scope="module")
def key(deployment: Deployment) -> dict[str, str]:
    return deployment.headers("replica")


@pytest.fixture(scope="module")
def trust(secrets: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=secrets / "tls_certificate.pem")


@pytest.fixture(scope="module")
def url(deployment: Deployment) -> str:
    return f"https://localhost:{deployment.ports['HTTPS']}"


def test_the_first_key_is_valid_at_both_replicas(replicas: list[str], key: dict[str, str]) -> None:
    for headers, status in ((key, 200), ({}, 401)):
        answers = [httpx.get(f"{replica}/v1/model", headers=headers, timeout=60) for replica in replicas]
        assert [answer.status_code for answer in answers] == [status] * 2


def test_one_instance_sent_to_both_at_once_makes_one_record(
    replicas: list[str], key: dict[str, str], samples: dict[str, bytes]
) -> None:
    start = threading.Barrier(4)

    def post(replica: str, data: bytes) -> httpx.Response:
        start.wait(timeout=30)
        return httpx.post(f"{replica}/v1/predictions", content=data, headers=key | RAW, timeout=60)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            answers = list(pool.map(post, replicas * 2, [stamped(samples["effusion"])] * 4))
            assert [answer.status_code for answer in answers] == [200] * 4
            assert len({answer.json()["id"] for answer in answers}) == 1
    pages = [httpx.get(f"{replica}/v1/predictions", headers=key, timeout=60).json()["items"] for replica in replicas]
    assert [len(page) for page in pages] == [3, 3]


def test_a_record_made_by_one_replica_is_shown_by_the_other(
    replicas: list[str], key: dict[str, str], samples: dict[str, bytes]
) -> None:
    first, second = replicas
    answer = httpx.post(f"{first}/v1/predictions", content=samples["normal"], headers=key | RAW, timeout=60).json()

    with httpx.Client(base_url=second, headers=key, timeout=60) as client:
        assert client.get(answer["links"]["self"]).json() == answer
        assert client.get(answer["links"]["overlay"]).headers["content-type"] == "image/png"


def test_events_and_marks_of_one_replica_reach_the_other_and_the_proxy(
    replicas: list[str],
    url: str,
    trust: ssl.SSLContext,
    key: dict[str, str],
    samples: dict[str, bytes],
) -> None:
    """The proxy must not buffer the stream."""
    first, second = replicas
    with (
        httpx.stream("GET", f"{second}/v1/events", headers=key, timeout=60) as direct,
        httpx.stream("GET", f"{url}/v1/events", headers=key, timeout=60, verify=trust) as proxied,
        httpx.Client(base_url=first, headers=key, timeout=60) as client,
    ):
        streams = [direct.iter_lines(), proxied.iter_lines()]
        assert [next(lines) for lines in streams] == [": listening"] * 2
        sample = stamped(samples["pneumothorax"])
        record = client.post("/v1/predictions", content=sample, headers=RAW).json()
        link, query = record["links"]["self"], {"q": record["accession_number"]}
        marked = client.patch(link, json={"read": True, "by": "AB"}).json()
        listed = httpx.post(f"{second}/v1/worklist/search", json=query, headers=key, timeout=60).json()
        assert marked in listed["items"]
        assert marked["read"]["by"] == "AB"
        client.delete(link).raise_for_status()
        for lines in streams:
            assert list(islice(_kinds(lines, record["id"]), 3)) == ["new", "read", "deleted"]


def _kinds(lines: Iterator[str], id: str) -> Iterator[str]:
    """Yield the kinds of events of one record; those of another test's record may come late."""
    changes = (json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: "))
    return (change["kind"] for change in changes if change["id"] == id)


def test_it_answers_over_tls(url: str, trust: ssl.SSLContext, key: dict[str, str], samples: dict[str, bytes]) -> None:
    with httpx.Client(base_url=url, verify=trust, headers=key, timeout=60) as client:
        answer = client.post("/v1/predictions", files={"file": samples["pneumothorax"]})
        overlay = client.get(answer.json()["links"]["overlay"])

    assert answer.status_code == 200
    assert "max-age" in answer.headers["strict-transport-security"]
    assert overlay.headers["content-type"] == "image/png"


@pytest.mark.parametrize(("excess", "refused_by"), [(1, "service"), (2**20 + 1, "proxy")])
def test_a_body_that_is_too_large_is_answered_with_a_problem(
    deployment: Deployment, trust: ssl.SSLContext, key: dict[str, str], excess: int, refused_by: str
) -> None:
    connection = http.client.HTTPSConnection("localhost", deployment.ports["HTTPS"], timeout=30, context=trust)
    headers = key | RAW | {"Content-Length": str(2**28 + excess)}
    connection.request("POST", "/v1/predictions", headers=headers)
    answer = connection.getresponse()
    problem = json.load(answer)
    connection.close()

    assert (answer.status, problem["status"], problem["code"]) == (413, 413, "body_too_large")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert ("request_id" in problem) == (refused_by == "service")


def test_only_the_replicas_reach_the_database(deployment: Deployment, engine: Engine) -> None:
    config = deployment.config()
    services = config["services"]

    assert {name for name, service in services.items() if "records" in service["networks"]} == {"database", "replica"}
    assert set(services["database"]["networks"]) == {"records"}
    assert "ports" not in services["database"]
    assert config["networks"]["records"]["internal"]
    assert engine.inspect(deployment.container("database"), "{{.HostConfig.PortBindings}}") == "map[]"


def test_no_secret_is_in_an_environment(deployment: Deployment, engine: Engine, secrets: Path) -> None:
    password = (secrets / "database_password").read_text().strip()
    for service in ("database", "replica", "proxy"):
        for container in deployment.containers(service):
            assert password not in engine.inspect(container, "{{json .Config}}")


def test_a_replica_that_stops_cuts_no_request(
    deployment: Deployment, url: str, trust: ssl.SSLContext, key: dict[str, str], samples: dict[str, bytes]
) -> None:
    replica, _ = deployment.containers("replica")
    sample = samples["normal"]

    def post() -> httpx.Response:
        return httpx.post(f"{url}/v1/predictions", content=stamped(sample), headers=key | RAW, timeout=60, verify=trust)

    with Load(post) as load:
        load.wait_for_acknowledged(8)
        deployment.engine.run("stop", replica)
        load.wait_for_acknowledged(len(load.acknowledged) + 8)

    assert (load.cut, load.refused) == ([], 0)
    assert deployment.engine.inspect(replica, "{{.State.ExitCode}}") == "0"


def test_without_a_replica_the_proxy_answers_503_with_retry_after(
    deployment: Deployment, url: str, trust: ssl.SSLContext
) -> None:
    deployment.compose("stop", "replica")
    answer = httpx.get(f"{url}/readyz", verify=trust, timeout=60)

    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "not_ready"
