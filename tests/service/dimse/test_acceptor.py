"""The C-STORE acceptor as a process, between DCMTK's senders and either the service or a stub of it."""

import json
import os
import signal
import socket
import struct
import subprocess
import time
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
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from service import errors
from service.destinations import Destination
from service.dicom.decoder import SYNTAXES as READ
from service.dimse.acceptor import SOP_CLASSES, SYNTAXES, Acceptor
from service.dimse.status import Status
from service.http.problems import problem
from service.sending.store_scu import store
from tests import factories
from tests.factories import dicom_bytes, noise
from tests.ports import refusing
from tests.service import planted
from tests.service.dimse import peer
from tests.service.dimse.certificate import certify
from tests.service.dimse.serving import TRIAGE, Process, acceptor, dcmtk, environment, process, service, tool
from tests.service.metered import samples
from tests.service.stub import Stub, stub


@pytest.fixture(scope="module")
def processes(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Process, Process]]:
    """`triage serve` and `triage dimse`, started as an administrator does."""
    folder = tmp_path_factory.mktemp("acceptor")
    variables = environment(artefact, folder)
    with service(variables, folder / "service.log") as http, acceptor(variables, http.address, folder / "log") as dimse:
        yield http, dimse


@pytest.fixture(scope="module")
def stubbed(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stub, Process]]:
    """An acceptor that forwards to a stub."""
    folder = tmp_path_factory.mktemp("stubbed")
    variables = environment(artefact, folder, TRIAGE_LIMITS__MAX_FILE_BYTES=str(2**20))
    with stub() as http, acceptor(variables, http.url, folder / "log") as dimse:
        yield http, dimse


def write(folder: Path, data: bytes, name: str = "file.dcm") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def records(http: Process) -> list[str]:
    items = httpx.get(f"{http.address}/v1/predictions", params={"limit": 500}, timeout=60).json()["items"]
    return [item["sop_instance_uid"] for item in items]


def lines(dimse: Process, event: str) -> list[dict[str, object]]:
    return [line for line in map(json.loads, dimse.log.read_text().splitlines()) if line["event"] == event]


def test_it_accepts_every_transfer_syntax_that_the_decoder_reads() -> None:
    assert {str(syntax) for syntax in SYNTAXES} == READ


def test_an_echo_succeeds(processes: tuple[Process, Process]) -> None:
    assert dcmtk("echoscu", processes[1].port).returncode == 0


@pytest.mark.parametrize(
    ("number", "sop_class"),
    [(1, None), (2, ComputedRadiographyImageStorage), (3, SecondaryCaptureImageStorage)],
)
def test_a_radiograph_is_committed_when_it_is_acknowledged(
    processes: tuple[Process, Process], tmp_path: Path, number: int, sop_class: str | None
) -> None:
    uid = f"2.25.50{number}"
    elements = {"SOPClassUID": sop_class} if sop_class else {}
    file = write(tmp_path, dicom_bytes(noise(seed=number), SOPInstanceUID=uid, Modality="CR", **elements))

    done = dcmtk("storescu", processes[1].port, file)

    assert done.returncode == 0, done.stderr
    assert "Received Store Response (Success)" in done.stderr
    assert uid in records(processes[0])
    assert lines(processes[1], "stored")[-1]["status"] == "0000"


@pytest.mark.parametrize(
    ("uid", "syntax", "proposed"),
    [
        ("2.25.511", RLELossless, "-xr"),
        ("2.25.512", JPEG2000Lossless, "-xv"),
        ("2.25.513", DeflatedExplicitVRLittleEndian, "-xd"),
    ],
)
def test_the_file_is_stored_as_it_was_sent(
    processes: tuple[Process, Process], tmp_path: Path, uid: str, syntax: str, proposed: str
) -> None:
    """Compressed pixel data and deflated data sets pass through unchanged."""
    dataset = factories.chest(noise(seed=7), SOPInstanceUID=uid)
    write_as = factories.encode if syntax == DeflatedExplicitVRLittleEndian else factories.compressed
    data = write_as(dataset, syntax)

    done = dcmtk("storescu", processes[1].port, proposed, write(tmp_path, data))

    assert done.returncode == 0, done.stderr
    files = [pydicom.dcmread(path) for path in (Path(processes[1].log.parent) / "data" / "instances").rglob("*.dcm")]
    [stored] = [dataset for dataset in files if dataset.SOPInstanceUID == uid]
    assert stored.file_meta.TransferSyntaxUID == syntax
    assert stored.PixelData == pydicom.dcmread(tmp_path / "file.dcm").PixelData


def test_a_lateral_is_refused_with_a900_and_its_reason(processes: tuple[Process, Process], tmp_path: Path) -> None:
    file = write(tmp_path, dicom_bytes(noise(), SOPInstanceUID="2.25.520", ViewPosition="LL"))

    done = dcmtk("storescu", processes[1].port, "-d", file)

    assert done.returncode != 0
    assert "0xa900" in done.stderr.lower()
    assert "view_unsuitable" in done.stderr
    assert "2.25.520" not in records(processes[0])


def sent_as_it_is(port: int, path: Path) -> tuple[int, str]:
    """Status and comment for a file whose group 0002 gives the command, and whose other bytes are the data set."""
    entity = AE("SENDER")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="TRIAGE")
    assert association.is_established
    answer = association.send_c_store(path)
    association.release()
    return answer.Status, answer.get("ErrorComment", "")


def test_a_data_set_with_another_uid_than_the_command_is_refused_with_a900(
    processes: tuple[Process, Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)  # else pynetdicom corrects the command
    data = dicom_bytes(noise(seed=61), SOPInstanceUID="2.25.561")
    other = write(tmp_path, data.replace(b"2.25.561", b"2.25.562", 1))  # in the file meta information

    assert sent_as_it_is(processes[1].port, other) == (0xA900, "instance_mismatch")
    assert not {"2.25.561", "2.25.562"} & set(records(processes[0]))
    assert sent_as_it_is(processes[1].port, write(tmp_path, data)) == (0, "")


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
def test_a_uid_with_leading_zeros_is_stored(processes: tuple[Process, Process], tmp_path: Path) -> None:
    file = write(tmp_path, dicom_bytes(noise(seed=63), SOPInstanceUID="2.25.0564"))

    done = dcmtk("storescu", processes[1].port, file)

    assert done.returncode == 0, done.stderr
    assert "2.25.0564" in records(processes[0])


def test_storage_commitment_is_not_accepted(processes: tuple[Process, Process]) -> None:
    """A sender that waits for a commitment learns at once that there will be none."""
    entity = AE("SENDER")
    entity.add_requested_context(StorageCommitmentPushModel)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", processes[1].port, ae_title="TRIAGE")
    assert [context.abstract_syntax for context in association.accepted_contexts] == [Verification]
    assert [context.abstract_syntax for context in association.rejected_contexts] == [StorageCommitmentPushModel]
    association.release()


def test_an_image_for_processing_is_refused_with_its_reason(processes: tuple[Process, Process], tmp_path: Path) -> None:
    elements = {"SOPClassUID": DigitalXRayImageStorageForProcessing, "PresentationIntentType": "FOR PROCESSING"}
    file = write(tmp_path, dicom_bytes(noise(), SOPInstanceUID="2.25.521", **elements))

    done = dcmtk("storescu", processes[1].port, "-d", file)

    assert "0xa900" in done.stderr.lower()
    assert lines(processes[1], "not stored")[-1]["reason"] == "for_processing"


def test_the_same_uid_with_other_pixels_is_refused_with_c000(
    processes: tuple[Process, Process], tmp_path: Path
) -> None:
    first = write(tmp_path, dicom_bytes(noise(seed=1), SOPInstanceUID="2.25.522"), "first.dcm")
    other = write(tmp_path, dicom_bytes(noise(seed=2), SOPInstanceUID="2.25.522"), "other.dcm")

    assert dcmtk("storescu", processes[1].port, first).returncode == 0
    assert dcmtk("storescu", processes[1].port, first).returncode == 0  # the same file again: the existing record
    done = dcmtk("storescu", processes[1].port, "-d", other)

    assert "0xc000" in done.stderr.lower()
    assert records(processes[0]).count("2.25.522") == 1


def test_another_sop_class_has_no_presentation_context(processes: tuple[Process, Process], tmp_path: Path) -> None:
    file = write(tmp_path, dicom_bytes(noise(), SOPClassUID=CTImageStorage))

    done = dcmtk("storescu", processes[1].port, file)

    assert done.returncode != 0
    assert "No valid Presentation Context" in done.stderr


def test_an_association_to_another_ae_title_is_rejected(processes: tuple[Process, Process]) -> None:
    done = dcmtk("echoscu", processes[1].port, called="OTHER")

    assert "Called AE Title Not Recognized" in done.stderr
    assert lines(processes[1], "association rejected")[-1]["reason"] == 7


# With a stub of the service...


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.Overloaded("x"), "a700"),
        (errors.Overloaded("x", "not_ready"), "a700"),
        (errors.RateLimited("x"), "a700"),
        (errors.StorageFull("x"), "a700"),
        (errors.Unauthenticated("x", "unknown_key"), "a700"),
        (errors.MalformedDicom("x"), "c000"),
        (errors.TooLarge("x", "file_too_large"), "c000"),
        (errors.UnsupportedEncoding("x", "transfer_syntax_unsupported"), "c122"),
        (errors.MalformedDicom("x", "pixel_data_missing"), "0122"),
        (errors.DecodeTimeout("x"), "0110"),
        (errors.InferenceFailed("x"), "0110"),
    ],
    ids=lambda value: value.code if isinstance(value, errors.TriageError) else value,
)
def test_a_refusal_has_its_status(
    stubbed: tuple[Stub, Process], tmp_path: Path, error: errors.TriageError, status: str
) -> None:
    answer = problem(error)
    stubbed[0].status, stubbed[0].body = answer.status, answer.model_dump_json(exclude_none=True)

    done = dcmtk("storescu", stubbed[1].port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert f"0x{status}" in done.stderr.lower()
    logged = lines(stubbed[1], "not stored")[-1]
    assert (logged["status"], logged["reason"]) == (status.upper(), error.code)


@pytest.mark.parametrize("body", ["{}", "<html>Sign in</html>", '{"schema": "another"}', "[]"])
def test_only_a_prediction_is_an_acknowledgement(stubbed: tuple[Stub, Process], tmp_path: Path, body: str) -> None:
    """The sign-in page of a proxy also has status 200."""
    stubbed[0].status, stubbed[0].body = 200, body

    done = dcmtk("storescu", stubbed[1].port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert "0xa700" in done.stderr.lower()
    assert lines(stubbed[1], "not stored")[-1]["reason"] == "not_the_service"


def test_lack_of_memory_is_a700() -> None:
    def fail() -> bytes:
        raise MemoryError

    store = SimpleNamespace(AffectedSOPClassUID=SOP_CLASSES[0], AffectedSOPInstanceUID="1.2")
    event = SimpleNamespace(request=store, encoded_dataset=fail)
    status = Acceptor._forwarded(cast(Acceptor, SimpleNamespace(_closing=False)), cast(Event, event), "")

    assert status == Status(0xA700, "out_of_memory")


def test_the_data_set_is_forwarded_byte_for_byte(stubbed: tuple[Stub, Process], tmp_path: Path) -> None:
    stubbed[0].answer(200)
    data = dicom_bytes(noise())

    assert dcmtk("storescu", stubbed[1].port, write(tmp_path, data)).returncode == 0

    headers, body = stubbed[0].received[-1]
    dataset = data[132 + 12 + struct.unpack_from("<L", data, 140)[0] :]  # after preamble and group 0002
    assert body.endswith(dataset)
    assert headers["Content-Type"] == "application/dicom"
    assert headers["X-Sop-Instance-Uid"] == factories.INSTANCE
    assert lines(stubbed[1], "stored")[-1]["request_id"] == headers["X-Request-Id"]


def test_an_unreachable_service_is_a700(artefact: Path, tmp_path: Path) -> None:
    variables = environment(artefact, tmp_path)
    with refusing() as port, acceptor(variables, f"http://127.0.0.1:{port}", tmp_path / "log") as dimse:
        done = dcmtk("storescu", dimse.port, "-d", write(tmp_path, dicom_bytes(noise())))

    assert "0xa700" in done.stderr.lower()


def test_a_data_set_over_the_size_limit_is_not_received(stubbed: tuple[Stub, Process], tmp_path: Path) -> None:
    count = len(stubbed[0].received)
    file = write(tmp_path, dicom_bytes(noise(1500, 1500)))  # 4.5 MB; the limit is 1 MiB, and 1 MiB for commands

    done = dcmtk("storescu", stubbed[1].port, file)

    assert "Response (Success)" not in done.stderr  # the exit status depends on when storescu notices the end
    assert len(stubbed[0].received) == count
    assert dcmtk("echoscu", stubbed[1].port).returncode == 0


@pytest.mark.parametrize("kind", range(1, 8))
def test_a_pdu_that_announces_four_gigabytes_ends_the_connection(stubbed: tuple[Stub, Process], kind: int) -> None:
    """PS3.8 9.3.1: a PDU begins with its type, a reserved byte and its length."""
    with socket.create_connection(("127.0.0.1", stubbed[1].port), timeout=60) as connection:
        connection.sendall(struct.pack(">BBL", kind, 0, 2**32 - 1) + b"x")
        while data := connection.recv(2**10):
            assert data[0] == 7  # an abort
    assert dcmtk("echoscu", stubbed[1].port).returncode == 0


def test_its_address_space_is_limited(stubbed: tuple[Stub, Process]) -> None:
    limits = Path(f"/proc/{stubbed[1].process.pid}/limits").read_text()

    [limit] = [line for line in limits.splitlines() if line.startswith("Max address space")]
    assert limit.split()[3] == str(2 * 2**30)


def test_on_sigterm_the_stores_in_progress_are_finished(artefact: Path, tmp_path: Path) -> None:
    with stub() as http, acceptor(environment(artefact, tmp_path), http.url, tmp_path / "log") as dimse:
        http.seconds = 1.0
        file = write(tmp_path, dicom_bytes(noise()))
        command = [tool("storescu"), "-v", "-aec", "TRIAGE", "127.0.0.1", str(dimse.port), str(file)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sender:
            assert http.began.wait(120)
            dimse.process.send_signal(signal.SIGTERM)
            _, output = sender.communicate(timeout=120)
        assert dimse.process.wait(120) == 0

    # The exit status depends on whether storescu releases its association in time.
    assert "Received Store Response (Success)" in output


def test_unknown_callers_and_too_many_associations_are_rejected(artefact: Path, tmp_path: Path) -> None:
    variables = environment(
        artefact, tmp_path, TRIAGE_DIMSE__CALLERS='["MODALITY"]', TRIAGE_DIMSE__MAXIMUM_ASSOCIATIONS="1"
    )
    with stub() as http, acceptor(variables, http.url, tmp_path / "log") as dimse:
        unknown = dcmtk("echoscu", dimse.port, "-aet", "UNKNOWN", "-v")
        http.may_answer.clear()
        file = write(tmp_path, dicom_bytes(noise()))
        command = [tool("storescu"), "-aet", "MODALITY", "-aec", "TRIAGE", "127.0.0.1", str(dimse.port), str(file)]
        with subprocess.Popen(command) as sender:
            assert http.began.wait(120)
            second = dcmtk("echoscu", dimse.port, "-aet", "MODALITY", "-v")
            http.may_answer.set()
        assert sender.returncode == 0

    assert "Calling AE Title Not Recognized" in unknown.stderr
    assert "Rejected Transient" in second.stderr


def test_the_key_is_read_from_a_file(artefact: Path, tmp_path: Path) -> None:
    variables = environment(artefact, tmp_path, TRIAGE_DIMSE__KEY_FILE=str(write(tmp_path, b"triage_K\n", "key")))
    with stub() as http, acceptor(variables, http.url, tmp_path / "log") as dimse:
        assert dcmtk("storescu", dimse.port, write(tmp_path, dicom_bytes(noise()))).returncode == 0

    assert http.received[0][0]["Authorization"] == "Bearer triage_K"


def test_tls_requires_a_client_certificate_where_a_ca_is_set(artefact: Path, tmp_path: Path) -> None:
    certify(tmp_path)
    names = {"CERTIFICATE": "certificate.pem", "KEY": "key.pem", "CA": "certificate.pem"}
    tls = {f"TRIAGE_DIMSE__TLS_{name}": str(tmp_path / file) for name, file in names.items()}
    with stub() as http, acceptor(environment(artefact, tmp_path, **tls), http.url, tmp_path / "log") as dimse:
        file = write(tmp_path, dicom_bytes(noise()))
        trust = ("+cf", tmp_path / "certificate.pem")
        with socket.create_connection(("127.0.0.1", dimse.port)):  # a silent connection does not block others
            authenticated = dcmtk(
                "storescu", dimse.port, "+tls", tmp_path / "key.pem", tmp_path / "certificate.pem", *trust, file
            )
        anonymous = dcmtk("storescu", dimse.port, "+tla", *trust, file)
        plain = dcmtk("storescu", dimse.port, file)

    assert authenticated.returncode == 0, authenticated.stderr
    assert len(http.received) == 1
    assert anonymous.returncode != 0
    assert plain.returncode != 0


def test_the_services_own_sender_can_use_tls(artefact: Path, tmp_path: Path) -> None:
    certify(tmp_path)
    names = {"CERTIFICATE": "certificate.pem", "KEY": "key.pem"}
    tls = {f"TRIAGE_DIMSE__TLS_{name}": str(tmp_path / file) for name, file in names.items()}
    with stub() as http, acceptor(environment(artefact, tmp_path, **tls), http.url, tmp_path / "log") as dimse:
        destination = Destination(name="acceptor", host="127.0.0.1", port=dimse.port, ae_title="TRIAGE")
        store(destination.model_copy(update={"tls_ca": tmp_path / "certificate.pem"}), dicom_bytes(noise()))

    assert len(http.received) == 1


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TLS_CERTIFICATE", "/nowhere.pem", "TLS files"),
        ("TLS_CA", "/nowhere.pem", "TRIAGE_DIMSE__TLS_CERTIFICATE is required"),
        ("KEY_FILE", "/nowhere", "TRIAGE_DIMSE__KEY_FILE"),
        ("HOST", "192.0.2.1", "cannot listen"),
        ("AE_TITLE", "SEVENTEEN LETTERS", "TRIAGE_DIMSE__AE_TITLE"),
    ],
)
def test_an_invalid_setting_is_reported_and_the_exit_status_is_2(
    artefact: Path, tmp_path: Path, variable: str, value: str, message: str
) -> None:
    variables = environment(artefact, tmp_path, **{f"TRIAGE_DIMSE__{variable}": value})

    with pytest.raises(AssertionError, match=message), process(["dimse"], variables, tmp_path / "log") as started:
        assert started.process.wait(120) == 2


def measured(dimse: Process) -> dict[str, float]:
    """Return the metrics of an acceptor, by series."""
    time.sleep(1.1)  # it gives an answer again for a second
    return {
        name + "".join(f" {value}" for _, value in sorted(labels)): value
        for (name, labels), value in samples(httpx.get(dimse.metrics, timeout=60).text).items()
    }


def test_associations_and_stores_are_counted(stubbed: tuple[Stub, Process], tmp_path: Path) -> None:
    http, dimse = stubbed
    file = write(tmp_path, dicom_bytes(noise(), SOPInstanceUID="2.25.590"))
    before = measured(dimse)
    http.answer(200)
    dcmtk("storescu", dimse.port, file)
    http.answer(503, type="urn:agcnn-triage:problem:overloaded", code="overloaded")
    dcmtk("storescu", dimse.port, file)
    dcmtk("storescu", dimse.port, file, called="ANOTHER")
    http.answer(200)

    after = measured(dimse)
    grown = {name: value - before.get(name, 0.0) for name, value in after.items() if value != before.get(name)}
    totals = ("triage_dimse_associations_total", "triage_dimse_stores_total")
    assert {name: value for name, value in grown.items() if name.startswith(totals)} == {
        "triage_dimse_associations_total accepted": 2,
        "triage_dimse_associations_total rejected": 1,
        "triage_dimse_stores_total 0000": 1,
        "triage_dimse_stores_total A700": 1,
    }
    assert grown["triage_dimse_store_seconds_count"] == 2
    assert after["process_resident_memory_bytes"] > 2**20


def test_an_open_association_is_seen(processes: tuple[Process, Process]) -> None:
    ae = AE("STATION")
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", processes[1].port, ae_title="TRIAGE")
    assert association.is_established
    assert measured(processes[1])["triage_dimse_open_associations"] == 1
    association.release()
    deadline = time.monotonic() + 120
    while measured(processes[1])["triage_dimse_open_associations"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_its_log_holds_nothing_about_patients_or_callers(processes: tuple[Process, Process], tmp_path: Path) -> None:
    for number, data in enumerate((planted.file(1), planted.file(1, seed=1), planted.file(2, Modality="TWEETY"))):
        title = ("-aet", "TWEETY 19420502")
        dcmtk("storescu", processes[1].port, *title, write(tmp_path, data, f"{number}.dcm"))
        dcmtk("storescu", processes[1].port, *title, tmp_path / f"{number}.dcm", called="KANARIE")
    for garbage in (
        b"Tweety Kanarie 19420502" * 9,
        struct.pack(">BBL", 1, 0, 40) + b"Tweety Kanarie 19420502".ljust(40),
    ):
        with socket.create_connection(("127.0.0.1", processes[1].port), timeout=60) as connection:
            connection.sendall(garbage)
            peer.send_no_more(connection)
            while connection.recv(2**10):
                pass

    assert {line["status"] for line in lines(processes[1], "not stored")[-2:]} == {"C000", "0122"}
    assert not planted.in_text(httpx.get(processes[1].metrics, timeout=60).text)
    assert len(lines(processes[1], "association rejected")) >= 3
    assert not planted.in_text(processes[1].log.read_text())
    hashed = subprocess.run(
        [TRIAGE, "hash", "2.25.77731"],
        env={**os.environ, "TRIAGE_STORAGE__FOLDER": str(processes[1].log.parent / "data")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert hashed.stdout.strip() in {str(line["sop_instance_hash"]) for line in lines(processes[1], "stored")}
