"""A back-fill by a Ray cluster of containers, of which one is killed, gives the rows of the local engine.

The containers are as confined as the pods of deploy/kubernetes, KubeRay's own commands start them, and it sends the
command to the cluster over HTTP, with a token.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from bench.backfill import write_archive
from tests.docker.deployment import Engine, wait_for
from tests.factories import dicom_bytes

pytestmark = pytest.mark.docker

IMAGE = "agcnn-triage:scale"
FILES = 400
TOKEN = "0123456789abcdef" * 2
CONFINED = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
# A node that does not answer is given up after 18 s, and not after a minute; on a busy machine, 2 s are too few.
PATIENCE = {"period_ms": 1000, "timeout_ms": 5000, "failure_threshold": 3}
SURVEY = """
import json, os
from importlib.metadata import distributions
names = [f"{package.name}=={package.version}" for package in distributions()]
print(json.dumps([names, os.environ["RAY_USAGE_STATS_ENABLED"]]))
"""
READ = """
import json, sys
from pyarrow import parquet
print(json.dumps(sorted(parquet.read_table(sys.argv[1]).to_pylist(), key=lambda row: row["file"])))
"""

Row = dict[str, Any]


@pytest.fixture(scope="module")
def scale_image(engine: Engine, image: str, root: Path, measured: list[str]) -> str:
    """Build the image with the extras of a back-fill on the layers of the ordinary one; return its name."""
    certificates = os.environ.get("PIP_CERT", "")
    secret = ("--secret", f"id=ca,src={certificates}") if certificates else ()
    dockerfile, start = str(root / "docker" / "service.Dockerfile"), time.monotonic()
    engine.build("-f", dockerfile, *secret, "--build-arg", "EXTRAS=scale jobs", "-t", IMAGE, str(root))
    seconds, sizes = time.monotonic() - start, [int(engine.inspect(name, "{{.Size}}")) for name in (image, IMAGE)]
    measured.append(
        f"image with Ray {sizes[1] / 1e6:.0f} MB, {seconds:.0f} s on the layers of that of {sizes[0] / 1e6:.0f} MB"
    )
    return IMAGE


@dataclass
class Cluster:
    """Containers of Ray on a network of their own, with a volume that all share."""

    engine: Engine
    image: str
    archive: Path
    name: str = f"agcnn-triage-ray-{os.getpid()}"

    def start(self, node: str, *words: str) -> None:
        """Start a node."""
        patience = [f"-e=RAY_health_check_{name}={value}" for name, value in PATIENCE.items()]
        token = ("-e", "RAY_AUTH_MODE=token", "-e", f"RAY_AUTH_TOKEN={TOKEN}")
        network = ("--network", self.name, "--name", f"{self.name}-{node}", "--no-healthcheck", "--shm-size", "256m")
        options = ("--detach", *network, *CONFINED, *token, *patience, *self._volumes)
        ray = " ".join(("ray", "start", "--block", "--object-store-memory=150000000", *words))
        shell = ("-lc", "--", f"ulimit -n 65536; {ray}")
        self.engine.run("run", *options, "--entrypoint", "/bin/bash", self.image, *shell)

    def inside(self, *words: str) -> str:
        """Run a command in a container of its own, without a network."""
        entry, *rest = words
        options = ("--rm", "--network", "none", *CONFINED, *self._volumes, "--entrypoint", entry)
        return self.engine.run("run", *options, self.image, *rest)

    def rows(self, table: str) -> list[Row]:
        return list(json.loads(self.inside("python", "-c", READ, table)))

    def address(self, node: str) -> str:
        """Return an address of a node that this machine reaches."""
        return self.engine.address(f"{self.name}-{node}")

    @property
    def url(self) -> str:
        """The address of the head's API."""
        return f"http://{self.address('head')}:8265"

    @property
    def _volumes(self) -> tuple[str, ...]:
        return ("-v", f"{self.name}:/data", "-v", f"{self.archive}:/archive:ro")

    def remove(self) -> None:
        containers = self.engine.run("ps", "--all", "--quiet", "--filter", f"name={self.name}").split()
        for words in (("rm", "--force", *containers), ("network", "rm", self.name), ("volume", "rm", self.name)):
            self.engine.try_run(*words)


@pytest.fixture
def cluster(engine: Engine, scale_image: str, tmp_path: Path) -> Iterator[Cluster]:
    cluster = Cluster(engine, scale_image, tmp_path / "archive")
    try:
        engine.run("network", "create", cluster.name)
        yield cluster
    finally:
        cluster.remove()


def test_every_package_has_its_pinned_version_and_none_reports_its_use(
    engine: Engine, scale_image: str, root: Path
) -> None:
    words = ("run", "--rm", "--network", "none", *CONFINED, "--entrypoint", "python", scale_image, "-c", SURVEY)
    packages, usage = json.loads(engine.run(*words))
    pinned = {_normal(line) for line in (root / "constraints.txt").read_text().splitlines() if "==" in line}

    assert "ray" in {package.partition("==")[0] for package in packages}
    assert {_normal(each) for each in packages if not each.startswith("agcnn-triage==")} - pinned == set()
    assert usage == "0"


def test_a_cluster_that_loses_a_container_writes_the_rows_of_the_local_engine(
    cluster: Cluster, measured: list[str]
) -> None:
    cluster.archive.mkdir()
    write_archive(cluster.archive, FILES - 1, 256)
    (cluster.archive / "lateral.dcm").write_bytes(dicom_bytes(np.zeros((256, 256), np.uint16), ViewPosition="LL"))
    cluster.start("head", "--head", "--dashboard-host=0.0.0.0", "--num-cpus=0")
    cluster.inside("triage", "backfill", "/archive", "/data/local")
    expected = cluster.rows("/data/local")
    wait_for(f"{cluster.url}/api/gcs_healthz")
    for worker in ("one", "two"):  # as KubeRay does, once the head answers: a worker waits for it only for a while
        cluster.start(worker, f"--address={cluster.name}-head:6379", "--num-cpus=1")
    assert httpx.get(f"{cluster.url}/api/jobs/", timeout=60).status_code == 401

    with httpx.Client(base_url=cluster.url, headers={"X-Ray-Authorization": f"Bearer {TOKEN}"}, timeout=60) as client:
        _wait_until(lambda: _nodes(client) == 3)
        stranger = ("exec", "-e", "RAY_AUTH_MODE=disabled", "-e", "RAY_AUTH_TOKEN=", f"{cluster.name}-one")
        refused = cluster.engine.try_run(*stranger, "ray", "status", "--address", f"{cluster.name}-head:6379")
        assert refused.returncode != 0
        assert "Unauthenticated" in refused.stderr + refused.stdout, refused
        wait_for(f"http://{cluster.address('one')}:52365/api/local_raylet_healthz")
        start = time.monotonic()
        entrypoint = "triage backfill /archive /data/table --engine ray --address auto"
        client.post("/api/jobs/", json={"entrypoint": entrypoint, "submission_id": "one"}).raise_for_status()
        _wait_until(lambda: _tasks_done(client, "Network") > 2)
        cluster.engine.run("kill", f"{cluster.name}-two")
        killed = time.monotonic()
        assert ".parquet" not in cluster.engine.run("exec", f"{cluster.name}-head", "ls", "/data/table")
        assert _status(client) == "RUNNING"
        _wait_until(lambda: _status(client) not in ("PENDING", "RUNNING"))
        log = client.get("/api/jobs/one/logs").json()["logs"]
    measured.append(
        f"back-fill of {FILES} files by two containers: {killed - start:.0f} s until one was killed, "
        f"{time.monotonic() - killed:.0f} s by the other"
    )
    rows = cluster.rows("/data/table")

    assert re.findall(r"(\d+) files have a row", log) == [str(FILES)], log
    assert [row["file"] for row in rows] == [row["file"] for row in expected]
    assert len(rows) == len({row["file"] for row in rows}) == FILES
    for row, other in zip(rows, expected, strict=True):
        assert {
            name: pytest.approx(value, abs=1e-6) if _is_number(value) else value for name, value in other.items()
        } == row


def _nodes(client: httpx.Client) -> int:
    """Return how many nodes the head knows."""
    nodes = client.get("/nodes", params={"view": "summary"}).raise_for_status().json()["data"]["summary"]
    return sum(node["raylet"]["state"] == "ALIVE" for node in nodes)


def _tasks_done(client: httpx.Client, actor: str) -> int:
    """Return how many batches the actors of a class have answered."""
    answer = client.get("/api/v0/tasks/summarize").raise_for_status().json()
    summary = answer["data"]["result"]["result"]["node_id_to_summary"]["cluster"]["summary"]
    return sum(each["state_counts"].get("FINISHED", 0) for name, each in summary.items() if f"({actor})" in name)


def _status(client: httpx.Client) -> str:
    return str(client.get("/api/jobs/one").raise_for_status().json()["status"])


def _wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 240
    while True:
        with suppress(AssertionError, httpx.HTTPError):
            if condition():
                return
        assert time.monotonic() < deadline
        time.sleep(0.5)


def _is_number(value: object) -> bool:
    return isinstance(value, float)


def _normal(requirement: str) -> str:
    return requirement.lower().replace("_", "-").replace(".", "-")
