"""The profile `default`: the service with SQLite and one volume."""

import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import pydicom
import pytest
from PIL import Image

from tests.docker.deployment import GRACE_SECONDS, Deployment, Engine, stamped, wait_for
from tests.docker.load import Load, lost
from tests.hostile.code_streams import file, seeds

pytestmark = pytest.mark.docker

RAW = {"Content-Type": "application/dicom"}


@pytest.fixture(scope="module")
def deployment(deploy: Callable[..., Deployment]) -> Deployment:
    deployment = deploy("default")
    deployment.up()
    return deployment


@pytest.fixture(scope="module")
def url(deployment: Deployment) -> str:
    return f"http://127.0.0.1:{deployment.ports['HTTP']}"


@pytest.fixture(scope="module")
def key(deployment: Deployment) -> dict[str, str]:
    return deployment.headers("service")


def test_cold_start_and_memory_at_rest_are_measured(
    deployment: Deployment, engine: Engine, measured: list[str]
) -> None:
    memory = engine.run("stats", "--no-stream", "--format", "{{.MemUsage}}", deployment.container("service"))
    measured.append(f"cold start to ready {deployment.cold_start_seconds('service'):.1f} s")
    measured.append(f"memory at rest {memory.partition(' /')[0]}")


def test_a_client_without_a_key_is_answered_401(url: str, samples: dict[str, bytes]) -> None:
    answers = [
        httpx.post(f"{url}/v1/predictions", content=samples["normal"], headers=RAW, timeout=60),
        httpx.get(f"{url}/v1/predictions", timeout=60),
        httpx.get(f"{url}/v1/model", timeout=60),
    ]

    assert [answer.status_code for answer in answers] == [401] * 3


def test_every_suitable_sample_gets_a_prediction_and_an_overlay(
    url: str, key: dict[str, str], samples: dict[str, bytes]
) -> None:
    for name, sample in samples.items():
        answer = httpx.post(f"{url}/v1/predictions", files={"file": sample}, headers=key, timeout=60)
        if name == "lateral":
            assert answer.status_code == 422
            continue
        assert answer.status_code == 200, answer.text
        overlay = httpx.get(url + answer.json()["links"]["overlay"], headers=key, timeout=60)
        dataset = pydicom.dcmread(BytesIO(sample), stop_before_pixels=True)
        with Image.open(BytesIO(overlay.content)) as picture:
            assert (picture.format, picture.width) == ("PNG", dataset.Columns)
            assert picture.height > dataset.Rows  # the legend is below the radiograph


def test_it_can_write_nowhere_but_in_its_volume(deployment: Deployment, engine: Engine) -> None:
    script = (
        "for folder in / /etc /opt/triage /usr/local/bin; do touch $folder/x 2>/dev/null && echo $folder; done; true"
    )
    status = deployment.inside("service", "cat", "/proc/self/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)

    assert deployment.inside("service", "sh", "-c", script) == ""
    assert {name: int(fields[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == dict.fromkeys(
        ("CapEff", "CapPrm", "CapBnd"), 0
    )
    assert fields["NoNewPrivs"] == "1"
    assert engine.inspect(deployment.container("service"), "{{.HostConfig.ReadonlyRootfs}}") == "true"


def test_its_decoder_processes_are_in_their_cage(deployment: Deployment) -> None:
    """Docker's own profile permits what it takes, and every codec works in it."""
    report = deployment.inside("service", "triage", "check")
    assert "decoders: sound, confined by no capabilities, Landlock (ABI " in report
    assert "), seccomp\n" in report


def test_every_codec_works_in_the_cage_of_the_image(url: str, key: dict[str, str]) -> None:
    for number, (name, seed) in enumerate(seeds(256, 260).items()):
        data = file(seed.syntax, seed.pixels, seed.stream, SOPInstanceUID=f"2.25.9.{number}")
        answer = httpx.post(f"{url}/v1/predictions", files={"file": data}, headers=key, timeout=60)
        assert answer.status_code == 200, f"{name}: {answer.text}"
        for link in ("sr", "segmentation", "secondary_capture", "overlay"):
            response = httpx.get(url + answer.json()["links"][link], headers=key, timeout=60)
            assert response.status_code == 200, f"{name}: {link}: {response.text}"


def test_its_port_is_published_on_this_machine_only(deployment: Deployment) -> None:
    [port] = deployment.config()["services"]["service"]["ports"]

    assert (port["host_ip"], port["target"]) == ("127.0.0.1", 8000)


def test_a_record_outlives_a_restart(
    deployment: Deployment, url: str, key: dict[str, str], samples: dict[str, bytes]
) -> None:
    before = httpx.post(f"{url}/v1/predictions", files={"file": samples["effusion"]}, headers=key, timeout=60).json()
    deployment.compose("restart", "service")
    wait_for(f"{url}/readyz")

    assert httpx.get(url + before["links"]["self"], headers=key, timeout=60).json() == before
    assert httpx.get(url + before["links"]["image"], headers=key, timeout=60).status_code == 200


def test_a_restored_backup_has_every_record_and_file(
    deployment: Deployment, url: str, key: dict[str, str], samples: dict[str, bytes], tmp_path: Path
) -> None:
    """Uses the commands of docs/deploy.md."""
    tmp_path.chmod(0o777)
    tar = (
        "run",
        "--rm",
        "-T",
        "--no-deps",
        "--entrypoint",
        "tar",
        "-v",
        f"{tmp_path}:/backup",
        "service",
        "-C",
        "/data",
    )
    before = httpx.post(f"{url}/v1/predictions", files={"file": samples["effusion"]}, headers=key, timeout=60).json()
    deployment.compose("stop")
    deployment.compose(*tar, "-cf", "/backup/triage.tar", ".")
    deployment.down()
    deployment.compose(*tar, "-xf", "/backup/triage.tar")
    deployment.up()

    assert httpx.get(url + before["links"]["self"], headers=key, timeout=60).json() == before
    assert httpx.get(url + before["links"]["image"], headers=key, timeout=60).status_code == 200


def test_a_kill_loses_nothing_that_was_acknowledged(
    deployment: Deployment, url: str, key: dict[str, str], samples: dict[str, bytes], measured: list[str]
) -> None:
    with Load(_client(deployment, key, samples["normal"])) as load:
        load.wait_for_acknowledged(8)
        deployment.compose("kill", "-s", "KILL", "service")
    deployment.up()
    wait_for(f"{url}/readyz")

    assert len(load.acknowledged) >= 8
    assert _lost(url, key, load.acknowledged) == []
    measured.append(f"killed under load: {len(load.acknowledged)} acknowledged, {len(load.cut)} cut, 0 lost")


def test_sigterm_cuts_no_request(
    deployment: Deployment, url: str, key: dict[str, str], samples: dict[str, bytes], measured: list[str]
) -> None:
    container = deployment.container("service")
    # A connection that is accepted at the moment of the signal is closed before its request is read. The client cannot
    # tell this from a request that was cut. Several requests are in progress at each signal, so a service that cut them
    # would do so in all three rounds.
    for _ in range(3):
        with Load(_client(deployment, key, samples["normal"])) as load:
            load.wait_for_acknowledged(8)
            start, answered = time.monotonic(), len(load.acknowledged)
            deployment.compose("stop", "service")
            seconds = time.monotonic() - start
            load.wait_for_refused()
        assert len(load.acknowledged) > answered
        assert deployment.engine.inspect(container, "{{.State.ExitCode}}") == "0"
        assert seconds < GRACE_SECONDS
        deployment.up()
        wait_for(f"{url}/readyz")
        assert _lost(url, key, load.acknowledged) == []
        if not load.cut:
            break
    assert load.cut == []
    measured.append(f"SIGTERM under load: drained in {seconds:.1f} s, exit status 0")


def _client(deployment: Deployment, key: dict[str, str], sample: bytes) -> Callable[[], httpx.Response]:
    """Return a function that posts past the engine's proxy, which accepts connections even if nothing listens."""
    url = f"http://{deployment.engine.address(deployment.container('service'))}:8000/v1/predictions"
    return lambda: httpx.post(url, content=stamped(sample), headers=key | RAW, timeout=60)


def _lost(url: str, key: dict[str, str], ids: list[str]) -> list[str]:
    """Return the links to records and images that can no longer be read."""
    with httpx.Client(base_url=url, headers=key, timeout=60) as client:
        return lost(client, ids, len(ids))
