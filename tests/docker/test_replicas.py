"""The profile `postgres` with three replicas: one is killed, the database is killed, all are replaced under load."""

import ssl
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from alembic.script import ScriptDirectory

from tests.conftest import ROOT
from tests.docker.deployment import Deployment, Engine, stamped
from tests.docker.load import PATIENCE_SECONDS, Load, Sender, lost, summary

pytestmark = pytest.mark.docker

RAW = {"Content-Type": "application/dicom"}
REPLICAS = 3
CLIENTS = 4
NEWEST = ScriptDirectory(str(ROOT / "service" / "storage" / "migrations")).get_current_head()
NEXT = "agcnn-triage:next"
NEXT_REVISION = "next"
# What the version before does not know: a column in the table that each prediction is written to, and a table.
NEXT_MIGRATION = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT_REVISION}"
down_revision = "{NEWEST}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("predictions", sa.Column("addition", sa.Text))
    op.create_table("additions", sa.Column("id", sa.Integer, primary_key=True))
"""


@pytest.fixture(scope="module")
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    deployment = deploy("postgres", "database", "proxy")
    deployment.up("--scale", f"replica={REPLICAS}")
    return deployment


@pytest.fixture(scope="module")
def client(deployment: Deployment, secrets: Path) -> Iterator[httpx.Client]:
    """A client of the proxy, with a key."""
    url = f"https://localhost:{deployment.ports['HTTPS']}"
    trust = ssl.create_default_context(cafile=secrets / "tls_certificate.pem")
    with httpx.Client(base_url=url, headers=deployment.headers("replica"), timeout=60, verify=trust) as client:
        yield client


@pytest.fixture
def sender(client: httpx.Client, secrets: Path, samples: dict[str, bytes]) -> Sender:
    """A sender with a new radiograph each time, and a new connection."""
    trust = ssl.create_default_context(cafile=secrets / "tls_certificate.pem")
    headers = {"Authorization": client.headers["Authorization"], **RAW}
    return Sender(str(client.base_url).rstrip("/"), headers, trust, partial(stamped, samples["normal"]))


@pytest.fixture(scope="module")
def next_version(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image of the next version, which the compose file now means: the same code, and one migration more."""
    folder = tmp_path_factory.mktemp("next")
    program = "from service.storage.migrations import versions; print(*versions.__path__)"
    versions = engine.run("run", "--rm", "--entrypoint", "python", image, "-c", program)
    (folder / "next.py").write_text(NEXT_MIGRATION)
    (folder / "Dockerfile").write_text(f"FROM {image}\nCOPY next.py {versions}/\n")
    before = engine.run("image", "inspect", "--format", "{{.Id}}", image)
    engine.run("build", "-q", "-t", NEXT, str(folder))
    engine.run("tag", NEXT, image)
    yield engine.run("image", "inspect", "--format", "{{.Id}}", NEXT)
    engine.run("tag", before, image)


def test_a_replica_that_is_killed_loses_what_it_was_answering_and_nothing_else(
    deployment: Deployment, client: httpx.Client, sender: Sender, measured: list[str]
) -> None:
    engine = deployment.engine
    victim, *_ = deployment.containers("replica")
    started = engine.inspect(victim, "{{.State.StartedAt}}")
    with Load(sender.post, CLIENTS) as load:
        load.wait_for_acknowledged(12)
        engine.try_run("exec", victim, "sh", "-c", "kill -9 -1")  # all but the init process, which then ends
        load.wait_for_acknowledged(len(load.acknowledged) + 24)
        _wait_for(lambda: engine.inspect(victim, "{{.State.StartedAt}}") != started)  # it was healthy before, too
        _wait_until_healthy(engine, victim)

    assert engine.inspect(victim, "{{.RestartCount}}") == "1"
    assert load.cut == []
    assert len(sender.refusals) <= CLIENTS  # each client has one request in progress
    missing = lost(client, load.acknowledged)
    assert missing == []
    measured.append(f"one of three replicas killed: {summary(load, sender, missing)}")


def test_while_the_database_is_away_senders_keep_their_files_and_nothing_is_lost(
    deployment: Deployment, client: httpx.Client, sender: Sender, measured: list[str]
) -> None:
    engine, database = deployment.engine, deployment.container("database")
    with Load(sender.post, CLIENTS) as load:
        load.wait_for_acknowledged(12)
        engine.run("kill", database)
        _wait_for(lambda: len(sender.refusals) >= CLIENTS)
        engine.run("start", database)
        load.wait_for_acknowledged(len(load.acknowledged) + 12)

    assert load.cut == []
    answers = [refusal for refusal in sender.refusals if isinstance(refusal, httpx.Response)]
    assert len(answers) == len(sender.refusals)
    # `not_ready` is the proxy's own answer, to a connection that ended before it had an answer of the replica.
    assert {answer.json()["code"] for answer in answers} <= {"overloaded", "storage_unavailable", "not_ready"}
    assert "overloaded" in {answer.json()["code"] for answer in answers}
    assert [engine.inspect(each, "{{.RestartCount}}") for each in deployment.containers("replica")[1:]] == ["0", "0"]
    missing = lost(client, load.acknowledged)
    assert missing == []
    measured.append(f"database killed and started again: {summary(load, sender, missing)}")


def test_a_replica_of_the_next_version_runs_beside_the_old_ones(
    deployment: Deployment, client: httpx.Client, sender: Sender, next_version: str, measured: list[str]
) -> None:
    engine, old = deployment.engine, deployment.containers("replica")
    with Load(sender.post, CLIENTS) as load:
        load.wait_for_acknowledged(4)
        deployment.up("--no-deps", "--no-recreate", "--scale", f"replica={REPLICAS + 1}", "replica")
        load.wait_for_acknowledged(len(load.acknowledged) + 8)
    [new] = set(deployment.containers("replica")) - set(old)
    assert engine.inspect(new, "{{.Image}}") == next_version
    assert _revision(deployment) == NEXT_REVISION
    assert (load.cut, load.refused, sender.refusals) == ([], 0, [])
    missing = lost(client, load.acknowledged)
    assert missing == []
    measured.append(f"a replica of the next version beside three: {summary(load, sender, missing)}")

    key = {"Authorization": sender.headers["Authorization"]}
    urls = [f"http://{engine.address(container)}:8000/v1/predictions" for container in (*old, new)]
    ids = []
    for url in urls:
        answer = httpx.post(url, content=sender.radiographs(), headers=key | RAW, timeout=60)
        assert answer.status_code == 200, answer.text
        ids.append(answer.json()["id"])
    for url in urls:
        assert [httpx.get(f"{url}/{id}", headers=key, timeout=60).status_code for id in ids] == [200] * len(ids)
    engine.run("stop", new)
    engine.run("rm", new)


def test_replicas_are_replaced_one_by_one_without_a_failed_request(
    deployment: Deployment, client: httpx.Client, sender: Sender, next_version: str, measured: list[str]
) -> None:
    engine, old = deployment.engine, deployment.containers("replica")
    assert len(old) == REPLICAS
    start = time.monotonic()
    with Load(sender.post, CLIENTS) as load:
        load.wait_for_acknowledged(4)
        deployment.script("docker/roll.sh")
        load.wait_for_acknowledged(len(load.acknowledged) + 8)
    seconds = time.monotonic() - start

    new = deployment.containers("replica")
    assert len(new) == REPLICAS
    assert not set(new) & set(old)
    assert {engine.inspect(container, "{{.Image}}") for container in new} == {next_version}
    assert (load.cut, load.refused, sender.refusals) == ([], 0, [])
    missing = lost(client, load.acknowledged)
    assert missing == []
    measured.append(f"three replicas replaced one by one, in {seconds:.0f} s: {summary(load, sender, missing)}")


def _revision(deployment: Deployment) -> str:
    query = "SELECT version_num FROM alembic_version"
    return deployment.inside("database", "psql", "--username=triage", "--tuples-only", "--no-align", "-c", query)


def _wait_until_healthy(engine: Engine, container: str) -> None:
    _wait_for(lambda: engine.inspect(container, "{{.State.Health.Status}}") == "healthy")


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
