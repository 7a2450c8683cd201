"""The C-STORE door in its own process, against DCMTK's senders, before a service or a stub told what to answer."""

import json
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pydicom
import pytest
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForProcessing,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom.events import Event

from service.dicom.decoder import SYNTAXES as READ
from service.dimse.acceptor import SOP_CLASSES, SYNTAXES, Door
from service.dimse.status import Status
from service.sending.store_scu import store
from service.settings import Destination
from tests import factories
from tests.factories import dicom_bytes, noise
from tests.service import planted
from tests.service.dimse.serving import TRIAGE, Process, dcmtk, door, environment, process, service, tool
from tests.service.stub import Stub, stub


@pytest.fixture(scope="module")
def doors(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """Both processes, as an administrator starts them."""
    folder = tmp_path_factory.mktemp("doors")
    variables = environment(artefact, folder)
    with service(variables, folder / "service.log") as http, door(variables, http.address, folder / "log") as dimse:
        yield http, dimse


@pytest.fixture(scope="module")
def told(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stub, Process]]:
    """The door before a service that answers as it is told."""
    folder = tmp_path_factory.mktemp("told")
    variables = environment(artefact, folder, TRIAGE_LIMITS__MAX_FILE_BYTES=str(2**20))
    with stub() as http, door(variables, http.url, folder / "log") as dimse:
        yield http, dimse


def write(folder: Path, data: bytes, name: str = "file.dcm") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def records(http: Process) -> list[str]:
    items = httpx.get(f"{http.address}/v1/predictions", params={"limit": 500}).json()["items"]
    return [item["sop_instance_uid"] for item in items]


def lines(dimse: Process, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, dimse.log.read_text().splitlines()) if line["event"] == event]


def test_it_takes_every_transfer_syntax_that_the_decoder_reads() -> None:
    assert {str(one) for one in SYNTAXES} == READ


def test_an_echo(doors: tuple[Process, Process]) -> None:
    assert dcmtk("echoscu", doors[1].port).returncode == 0


@pytest.mark.parametrize(
    ("number", "sop_class"),
    [(1, None), (2, ComputedRadiographyImageStorage), (3, SecondaryCaptureImageStorage)],
)
def test_a_radiograph_is_committed_when_it_is_acknowledged(
    doors: tuple[Process, Process], tmp_path: Path, number: int, sop_class: str | None
) -> None:
    uid = f"2.25.50{number}"
    elements = {"SOPClassUID": sop_class} if sop_class else {}
    file = write(tmp_path, dicom_bytes(noise(seed=number), SOPInstanceUID=uid, Modality="CR", **elements))

    done = dcmtk("storescu", doors[1].port, file)

    assert done.returncode == 0, done.stderr
    assert "Received Store Response (Success)" in done.stderr
    assert uid in records(doors[0])
    assert lines(doors[1], "stored")[-1]["status"] == "0000"


@pytest.mark.parametrize(
    ("uid", "syntax", "proposed"),
    [
        ("2.25.511", RLELossless, "-xr"),
        ("2.25.512", JPEG2000Lossless, "-xv"),
        ("2.25.513", DeflatedExplicitVRLittleEndian, "-xd"),
    ],
)
def test_what_is_kept_is_what_was_sent(
    doors: tuple[Process, Process], tmp_path: Path, uid: str, syntax: str, proposed: str
) -> None:
    """Compressed pixel data and deflated data sets go through as they are."""
    dataset = factories.chest(noise(seed=7), SOPInstanceUID=uid)
    write_as = factories.encode if syntax == DeflatedExplicitVRLittleEndian else factories.compressed
    data = write_as(dataset, syntax)

    done = dcmtk("storescu", doors[1].port, proposed, write(tmp_path, data))

    assert done.returncode == 0, done.stderr
    kept = [
        pydicom.dcmread(path)
        for path in (Path(doors[1].log.parent) / "data" / "instances").rglob("*")
        if path.is_file()
    ]
    [found] = [one for one in kept if one.SOPInstanceUID == uid]
    assert found.file_meta.TransferSyntaxUID == syntax
    assert found.PixelData == pydicom.dcmread(tmp_path / "file.dcm").PixelData


def test_a_lateral_is_a900_and_says_why(doors: tuple[Process, Process], tmp_path: Path) -> None:
    file = write(tmp_path, dicom_bytes(noise(), SOPInstanceUID="2.25.520", ViewPosition="LL"))

    done = dcmtk("storescu", doors[1].port, "-d", file)

    assert done.returncode != 0
    assert "0xa900" in done.stderr.lower()
    assert "view_unsuitable" in done.stderr
    assert "2.25.520" not in records(doors[0])


def test_one_for_processing_is_taken_to_be_refused_with_its_reason(
    doors: tuple[Process, Process], tmp_path: Path
) -> None:
    elements = {"SOPClassUID": DigitalXRayImageStorageForProcessing, "PresentationIntentType": "FOR PROCESSING"}
    file = write(tmp_path, dicom_bytes(noise(), SOPInstanceUID="2.25.521", **elements))

    done = dcmtk("storescu", doors[1].port, "-d", file)

    assert "0xa900" in done.stderr.lower()
    assert lines(doors[1], "not stored")[-1]["reason"] == "for_processing"


def test_the_same_uid_with_other_pixels_is_c000(doors: tuple[Process, Process], tmp_path: Path) -> None:
    first = write(tmp_path, dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.522"), "first.dcm")
    other = write(tmp_path, dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.522"), "other.dcm")

    assert dcmtk("storescu", doors[1].port, first).returncode == 0
    assert dcmtk("storescu", doors[1].port, first).returncode == 0  # the same again: the record there is
    done = dcmtk("storescu", doors[1].port, "-d", other)

    assert "0xc000" in done.stderr.lower()
    assert records(doors[0]).count("2.25.522") == 1


def test_another_kind_of_image_finds_no_presentation_context(doors: tuple[Process, Process], tmp_path: Path) -> None:
    file = write(tmp_path, dicom_bytes(noise(), SOPClassUID=CTImageStorage))

    done = dcmtk("storescu", doors[1].port, file)

    assert done.returncode != 0
    assert "No valid Presentation Context" in done.stderr


def test_called_by_another_title_it_rejects(doors: tuple[Process, Process]) -> None:
    done = dcmtk("echoscu", doors[1].port, called="OTHER")

    assert "Called AE Title Not Recognized" in done.stderr
    assert lines(doors[1], "association rejected")[-1]["reason"] == 7


# Before a service that answers as it is told...


@pytest.mark.parametrize(
    ("http", "code", "status"),
    [
        (503, "overloaded", "a700"),
        (503, "not_ready", "a700"),
        (429, "rate_limited", "a700"),
        (507, "storage_full", "a700"),
        (401, "unknown_key", "a700"),
        (400, "malformed_dicom", "c000"),
        (413, "file_too_large", "c000"),
        (415, "transfer_syntax_unsupported", "c122"),
        (400, "pixel_data_missing", "0122"),
        (422, "decode_timeout", "0110"),
        (500, "inference_failed", "0110"),
    ],
)
def test_a_refusal_has_its_status(
    told: tuple[Stub, Process], tmp_path: Path, http: int, code: str, status: str
) -> None:
    told[0].answer(http, code=code)

    done = dcmtk("storescu", told[1].port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert f"0x{status}" in done.stderr.lower()
    assert (
        lines(told[1], "not stored")[-1] | {"status": status.upper(), "reason": code}
        == lines(told[1], "not stored")[-1]
    )


@pytest.mark.parametrize("body", ["{}", "<html>Sign in</html>", '{"schema": "another"}', "[]"])
def test_only_a_record_is_an_acknowledgement(told: tuple[Stub, Process], tmp_path: Path, body: str) -> None:
    """A page that asks to sign in is answered with 200, too."""
    told[0].status, told[0].body = 200, body

    done = dcmtk("storescu", told[1].port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert "0xa700" in done.stderr.lower()
    assert lines(told[1], "not stored")[-1]["reason"] == "not_the_service"


def test_memory_that_others_hold_is_a700() -> None:
    def fail() -> bytes:
        raise MemoryError

    event = SimpleNamespace(request=SimpleNamespace(AffectedSOPClassUID=SOP_CLASSES[0]), encoded_dataset=fail)
    found = Door._checked(cast(Door, SimpleNamespace(_closing=False)), cast(Event, event), "")

    assert found == Status(0xA700, "out_of_memory")


def test_the_bytes_go_through_undecoded(told: tuple[Stub, Process], tmp_path: Path) -> None:
    told[0].answer(200)
    data = dicom_bytes(noise())

    assert dcmtk("storescu", told[1].port, write(tmp_path, data)).returncode == 0

    headers, sent = told[0].received[-1]
    dataset = data[132 + 12 + struct.unpack_from("<L", data, 140)[0] :]  # after preamble and group 0002
    assert sent.endswith(dataset)
    assert headers["Content-Type"] == "application/dicom"
    assert lines(told[1], "stored")[-1]["request_id"] == headers["X-Request-Id"]


def test_a_service_that_is_gone_is_a700(artefact: Path, tmp_path: Path) -> None:
    with stub() as http:
        gone = http.url
    with door(environment(artefact, tmp_path), gone, tmp_path / "log") as dimse:
        done = dcmtk("storescu", dimse.port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert "0xa700" in done.stderr.lower()


def test_a_longer_data_set_than_the_service_takes_is_not_received(told: tuple[Stub, Process], tmp_path: Path) -> None:
    count = len(told[0].received)
    file = write(tmp_path, dicom_bytes(noise(1500, 1500)))  # 4.5 MB, to a bound of 1 MiB and as much for commands

    done = dcmtk("storescu", told[1].port, file)

    assert "Response (Success)" not in done.stderr  # its exit status depends on when it sees the connection end
    assert len(told[0].received) == count
    assert dcmtk("echoscu", told[1].port).returncode == 0


@pytest.mark.parametrize("kind", range(1, 8))
def test_the_length_that_a_pdu_announces_is_not_waited_for(told: tuple[Stub, Process], kind: int) -> None:
    """PS3.8 9.3.1: kind, reserved, length; four gigabytes announced end the connection at once."""
    with socket.create_connection(("127.0.0.1", told[1].port), timeout=20) as connection:
        connection.sendall(struct.pack(">BBL", kind, 0, 2**32 - 1) + b"x")
        while data := connection.recv(2**10):
            assert data[0] == 7  # an abort
    assert dcmtk("echoscu", told[1].port).returncode == 0


def test_it_grows_no_further_than_its_bound(told: tuple[Stub, Process]) -> None:
    limits = Path(f"/proc/{told[1].process.pid}/limits").read_text()

    [bound] = [line for line in limits.splitlines() if line.startswith("Max address space")]
    assert bound.split()[3] == str(2 * 2**30)


def test_sigterm_ends_what_is_in_hand_first(artefact: Path, tmp_path: Path) -> None:
    with stub() as http, door(environment(artefact, tmp_path), http.url, tmp_path / "log") as dimse:
        http.seconds = 1.0
        file = write(tmp_path, dicom_bytes(noise()))
        command = [tool("storescu"), "-v", "-aec", "TRIAGE", "127.0.0.1", str(dimse.port), str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sender:
            assert http.began.wait(30)
            dimse.process.send_signal(signal.SIGTERM)
            _, said = sender.communicate(timeout=30)
        assert dimse.process.wait(30) == 0

    assert sender.returncode == 0
    assert "Received Store Response (Success)" in said


def test_only_who_is_listed_may_call_and_no_more_at_once_than_is_set(artefact: Path, tmp_path: Path) -> None:
    variables = environment(
        artefact, tmp_path, TRIAGE_DIMSE__CALLERS='["MODALITY"]', TRIAGE_DIMSE__MAXIMUM_ASSOCIATIONS="1"
    )
    with stub() as http, door(variables, http.url, tmp_path / "log") as dimse:
        stranger = dcmtk("echoscu", dimse.port, "-aet", "STRANGER", "-v")
        http.seconds = 1.0
        file = write(tmp_path, dicom_bytes(noise()))
        command = [tool("storescu"), "-aet", "MODALITY", "-aec", "TRIAGE", "127.0.0.1", str(dimse.port), str(file)]
        with subprocess.Popen(command) as sender:
            assert http.began.wait(30)
            second = dcmtk("echoscu", dimse.port, "-aet", "MODALITY", "-v")
        assert sender.returncode == 0

    assert "Calling AE Title Not Recognized" in stranger.stderr
    assert "Rejected Transient" in second.stderr


def test_a_key_comes_from_a_file(artefact: Path, tmp_path: Path) -> None:
    variables = environment(artefact, tmp_path, TRIAGE_DIMSE__KEY_FILE=str(write(tmp_path, b"triage_K\n", "key")))
    with stub() as http, door(variables, http.url, tmp_path / "log") as dimse:
        assert dcmtk("storescu", dimse.port, write(tmp_path, dicom_bytes(noise()))).returncode == 0

    assert http.received[0][0]["Authorization"] == "Bearer triage_K"


def test_over_tls(artefact: Path, tmp_path: Path) -> None:
    certify(tmp_path)
    names = {"CERTIFICATE": "certificate.pem", "KEY": "key.pem", "CA": "certificate.pem"}
    tls = {f"TRIAGE_DIMSE__TLS_{name}": str(tmp_path / file) for name, file in names.items()}
    with stub() as http, door(environment(artefact, tmp_path, **tls), http.url, tmp_path / "log") as dimse:
        file = write(tmp_path, dicom_bytes(noise()))
        trust = ("+cf", tmp_path / "certificate.pem")
        with socket.create_connection(("127.0.0.1", dimse.port)):  # one that says nothing keeps nobody waiting
            shown = dcmtk(
                "storescu", dimse.port, "+tls", tmp_path / "key.pem", tmp_path / "certificate.pem", *trust, file
            )
        hidden = dcmtk("storescu", dimse.port, "+tla", *trust, file)
        plain = dcmtk("storescu", dimse.port, file)

    assert shown.returncode == 0, shown.stderr
    assert len(http.received) == 1
    assert hidden.returncode != 0
    assert plain.returncode != 0


def test_our_own_sender_speaks_tls_too(artefact: Path, tmp_path: Path) -> None:
    certify(tmp_path)
    names = {"CERTIFICATE": "certificate.pem", "KEY": "key.pem"}
    tls = {f"TRIAGE_DIMSE__TLS_{name}": str(tmp_path / file) for name, file in names.items()}
    with stub() as http, door(environment(artefact, tmp_path, **tls), http.url, tmp_path / "log") as dimse:
        to = Destination(name="door", host="127.0.0.1", port=dimse.port, ae_title="TRIAGE")
        store(to.model_copy(update={"tls_ca": tmp_path / "certificate.pem"}), dicom_bytes(noise()))

    assert len(http.received) == 1


def certify(folder: Path) -> None:
    """A certificate that signs itself."""
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    request = [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files]
    subprocess.run(request, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TLS_CERTIFICATE", "/nowhere.pem", "TLS files"),
        ("TLS_CA", "/nowhere.pem", "TRIAGE_DIMSE__TLS_CERTIFICATE is wanted"),
        ("KEY_FILE", "/nowhere", "TRIAGE_DIMSE__KEY_FILE"),
        ("HOST", "192.0.2.1", "cannot listen"),
        ("AE_TITLE", "SEVENTEEN LETTERS", "TRIAGE_DIMSE__AE_TITLE"),
    ],
)
def test_a_setting_that_does_not_fit_is_one_line(
    artefact: Path, tmp_path: Path, variable: str, value: str, said: str
) -> None:
    variables = environment(artefact, tmp_path, **{f"TRIAGE_DIMSE__{variable}": value})

    with pytest.raises(AssertionError, match=said), process(["dimse"], variables, tmp_path / "log") as found:
        assert found.process.wait(30) == 2


def test_nothing_of_a_patient_is_in_its_log(doors: tuple[Process, Process], tmp_path: Path) -> None:
    """Nor of what a stranger calls itself."""
    for number, data in enumerate((planted.file(1), planted.file(1, seed=1), planted.file(2, Modality="TWEETY"))):
        title = ("-aet", "TWEETY 19420502")
        dcmtk("storescu", doors[1].port, *title, write(tmp_path, data, f"{number}.dcm"))
        dcmtk("storescu", doors[1].port, *title, tmp_path / f"{number}.dcm", called="KANARIE")
    for garbage in (
        b"Tweety Kanarie 19420502" * 9,
        struct.pack(">BBL", 1, 0, 40) + b"Tweety Kanarie 19420502".ljust(40),
    ):
        with socket.create_connection(("127.0.0.1", doors[1].port), timeout=20) as connection:
            connection.sendall(garbage)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(2**10):
                pass

    assert {line["status"] for line in lines(doors[1], "not stored")[-2:]} == {"C000", "0122"}
    assert len(lines(doors[1], "association rejected")) >= 3
    assert not planted.in_text(doors[1].log.read_text())
    asked = subprocess.run(
        [TRIAGE, "hash", "2.25.77731"],
        env={**os.environ, "TRIAGE_STORAGE__FOLDER": str(doors[1].log.parent / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() in {str(line["sop_instance_hash"]) for line in lines(doors[1], "stored")}
