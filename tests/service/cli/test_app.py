import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from service import telemetry
from service.cli import app as cli
from service.cli.settings_table import variables
from tests.artefacts import tiny_artefact, tiny_card
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run

TRIAGE = Path(sys.executable).with_name("triage")


def file(uid: str) -> bytes:
    return dicom_bytes(noise(), SOPInstanceUID=uid)


@pytest.fixture
def run(run: Run, artefact: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with a small artefact."""
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    return run


def test_help_lists_the_commands(run: Run) -> None:
    code, out, _ = run("--help")

    assert code == 0
    for word in ("serve", "predict", "check", "migrate", "keys", "purge", "not a medical device"):
        assert word in " ".join(out.split())


def test_version_is_printed(run: Run) -> None:
    assert run("--version") == (0, f"{version('agcnn-triage')}\n", "")


def test_hash_prints_the_hash_of_the_log(run: Run, tmp_path: Path) -> None:
    code, _, err = run("hash", "2.25.1")
    assert (code, len(err.splitlines())) == (2, 1)

    (tmp_path / "data").mkdir()
    key = telemetry.read_or_create_key(tmp_path / "data")

    hashes = [telemetry.hash_uid(uid, key) for uid in ("2.25.1", "2.25.2")]
    assert run("hash", "2.25.1", " 2.25.2\n") == (0, "\n".join([*hashes, ""]), "")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TRIAGE_HTTP__PROT", "1", "unknown setting TRIAGE_HTTP__PROT"),
        ("TRIAGE_HTTP__PORT", "x", "TRIAGE_HTTP__PORT: "),
        ("TRIAGE_HTTP__HOST", "nowhere.invalid", "cannot listen on nowhere.invalid"),
        ("TRIAGE_MODEL__PATH", "/nowhere/agcnn.onnx", "/nowhere/agcnn.onnx"),
        ("TRIAGE_MODEL__SHA256", "0" * 64, "SHA-256"),
        ("TRIAGE_STORAGE__FOLDER", "/proc/nowhere", "/proc/nowhere"),
        ("TRIAGE_DATABASE__URL", "sqlite:////proc/nowhere/a.sqlite", "database"),
        ("TRIAGE_TRIAGE__STAT", '["Scoliosis"]', "Scoliosis"),
    ],
)
def test_an_error_that_keeps_serve_from_starting_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)

    code, _, err = run("serve")

    assert (code, len(err.splitlines())) == (2, 1)
    assert err.startswith("triage: ")
    assert message in err


def test_a_port_in_use_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TRIAGE_HTTP__PORT", str(port))

        assert run("serve") == (2, "", f"triage: cannot listen on 127.0.0.1 port {port}: Address already in use\n")


def test_a_port_of_the_metrics_in_use_is_one_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("TRIAGE_HTTP__PORT", "0")
        monkeypatch.setenv("TRIAGE_DIMSE__PORT", "0")
        monkeypatch.setenv("TRIAGE_METRICS__PORT", str(port))
        monkeypatch.setenv("TRIAGE_METRICS__DIMSE_PORT", str(port))
        message = f"cannot listen on 127.0.0.1 port {port} for metrics (TRIAGE_METRICS__…): Address already in use"

        assert run("serve") == (2, "", f"triage: {message}\n")


def test_check_prints_the_parts_that_are_sound(run: Run, artefact: Path) -> None:
    code, out, err = run("check")

    assert (code, err) == (0, "")
    for variable in variables():
        assert variable.name in out
    for line in (
        "configuration: sound",
        "artefact: sound",
        "provider: sound, cpu",
        "storage: sound",
        "database: sound",
    ):
        assert line in out


def test_check_prints_the_part_that_is_not_sound(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(tmp_path / "none.onnx"))

    code, out, err = run("check")

    assert (code, len(err.splitlines())) == (2, 1)
    assert "configuration: sound" in out
    assert "none.onnx" in err


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "sqlite://", "postgresql+psycopg://u:canary@[::1]:9/x"])
def test_check_tries_the_database(run: Run, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("TRIAGE_DATABASE__URL", url)

    code, out, err = run("check")

    assert (code, len(err.splitlines())) == (2, 1)
    assert "storage: sound" in out
    assert "database" in err
    assert "canary" not in out + err


def test_check_reads_the_files_of_destinations(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("whsec_" + "A" * 32)
    pager = {"name": "pager", "protocol": "webhook", "url": "https://pager.example", "secret_file": str(secret)}
    monkeypatch.setenv("TRIAGE_SENDING__DESTINATIONS", json.dumps([pager]))
    assert "destinations: sound" in run("check")[1]

    secret.write_text("canary")
    code, out, err = run("check")

    assert (code, len(err.splitlines())) == (2, 1)
    assert "destination pager: expected in" in err
    assert "canary" not in out + err


def test_check_creates_nothing(run: Run, tmp_path: Path) -> None:
    run("check")

    assert list(tmp_path.iterdir()) == []


def test_check_lists_the_settings_also_if_one_is_invalid(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_HTTP__PROT", "1")

    code, out, err = run("check")

    assert (code, err) == (2, "triage: unknown setting TRIAGE_HTTP__PROT; `triage check` lists all settings\n")
    assert "TRIAGE_HTTP__PORT" in out


# As a process...


@contextmanager
def process(artefact: Path, folder: Path, *arguments: str, host: str = "127.0.0.1") -> Iterator[subprocess.Popen[str]]:
    environment = {
        "TRIAGE_HTTP__HOST": host,
        "TRIAGE_HTTP__PORT": "0",
        "TRIAGE_METRICS__PORT": "0",
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder / "data"),
        "TRIAGE_LIMITS__DECODE_WORKERS": "1",
    }
    with (folder / "log").open("a") as log:
        started = subprocess.Popen(
            [TRIAGE, "serve", *arguments], env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


@contextmanager
def client_of(started: subprocess.Popen[str]) -> Iterator[httpx.Client]:
    """Return a client of the address that the process prints, once the service is ready."""
    assert started.stdout is not None
    address = started.stdout.readline().split()[3]
    with httpx.Client(base_url=address, timeout=60) as client:
        deadline = time.monotonic() + 300
        while client.get("/readyz").status_code != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield client


def post(client: httpx.Client, data: bytes) -> dict[str, str]:
    answer = client.post("/v1/predictions", content=data, headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_acknowledged_predictions_survive_a_restart_and_a_kill(artefact: Path, tmp_path: Path) -> None:
    with process(artefact, tmp_path) as started, client_of(started) as client:
        predictions = [post(client, file("2.25.1"))]
        started.send_signal(signal.SIGTERM)
        assert started.wait(120) == 0

    with process(artefact, tmp_path) as started, client_of(started) as client:
        predictions += [post(client, file(f"2.25.2{number}")) for number in range(5)]
        started.kill()
        assert started.wait(120) == -signal.SIGKILL

    with process(artefact, tmp_path) as started, client_of(started) as client:
        for body in predictions:
            assert client.get(f"/v1/predictions/{body['id']}").json() == body
            assert client.get(f"/v1/predictions/{body['id']}/image.png").status_code == 200
        assert len(client.get("/v1/predictions").json()["items"]) == len(predictions)
        started.send_signal(signal.SIGINT)
        assert started.wait(120) == 0

    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    for value in ("Canary", "CANARY", "19420502", "2.25."):
        assert value not in log


def test_on_a_network_address_the_first_start_creates_a_key_and_does_not_print_it(
    artefact: Path, tmp_path: Path
) -> None:
    file = tmp_path / "data" / "first_key"
    for start in ("first", "second"):
        with process(artefact, tmp_path, host="0.0.0.0") as started:
            with client_of(started) as client:
                key = file.read_text().strip()
                assert client.get("/v1/model").status_code == 401, start
                client.headers["Authorization"] = f"Bearer {key}"
                assert client.get("/v1/model").status_code == 200
                started.send_signal(signal.SIGTERM)
                assert started.wait(120) == 0
            out = started.stdout.read() if started.stdout else ""
        assert f"cat {file}" in out
        assert re.search(r"reader's page: +http://0\.0\.0\.0:\d+/\n", out)
        assert key not in out + (tmp_path / "log").read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "insecure" not in (tmp_path / "log").read_text()

    file.unlink()
    with process(artefact, tmp_path, host="0.0.0.0") as started, client_of(started) as client:
        assert client.get("/v1/model", headers={"Authorization": f"Bearer {key}"}).status_code == 200
    assert not file.exists(), "only one first key is ever created"


def test_insecure_requires_no_key_and_warns(artefact: Path, tmp_path: Path) -> None:
    with process(artefact, tmp_path, "--insecure", host="0.0.0.0") as started, client_of(started) as client:
        assert client.get("/v1/model").status_code == 200

    assert not (tmp_path / "data" / "first_key").exists()
    warnings = [line for line in (tmp_path / "log").read_text().splitlines() if '"insecure: ' in line]
    assert json.loads(warnings[0])["level"] == "warning"


def test_a_failed_self_test_ends_the_process(artefact: Path, tmp_path: Path) -> None:
    golden = tiny_card(artefact)["golden"]
    golden["fusion"] = [1 - probability for probability in golden["fusion"]]
    wrong = tiny_artefact(tmp_path, golden=golden)

    with process(wrong, tmp_path) as started:
        assert started.wait(120) == 2

    *lines, last = (tmp_path / "log").read_text().splitlines()
    assert last.startswith("triage: ")
    assert "fusion" in last
    assert all(json.loads(line)["level"] == "info" for line in lines)


def test_a_request_in_flight_is_finished_after_sigterm(artefact: Path, tmp_path: Path) -> None:
    data = file("2.25.1")
    with process(artefact, tmp_path) as started, client_of(started) as client:
        address = (client.base_url.host, client.base_url.port)
        with socket.create_connection(address, timeout=60) as connection:
            head = ["POST /v1/predictions HTTP/1.1", "Host: localhost", "Content-Type: application/dicom"]
            head += [f"Content-Length: {len(data)}", "", ""]
            connection.sendall("\r\n".join(head).encode() + data[:1000])
            client.get("/livez")  # after this the server has received the head of the other request
            started.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            connection.sendall(data[1000:])

            assert connection.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
        assert started.wait(120) == 0


def test_telemetry_of_onnx_runtime_is_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.setattr(cli.telemetry, "configure", lambda *_: None)
    monkeypatch.setattr(cli, "app", lambda **_: None)

    cli.main()

    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
