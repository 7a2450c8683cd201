"""300 instances over four associations: none is lost or stored twice, and memory stays flat."""

import subprocess
from pathlib import Path

import httpx

from tests.factories import dicom_bytes, noise
from tests.service.dimse.serving import Process, acceptor, environment, service, tool

ASSOCIATIONS, INSTANCES, WARM = 4, 300, 60
GROWTH_BYTES = 20 * 2**20  # if kept in memory, the 240 files of 128 KiB after the first 60 would take 30 MiB
PIXELS = noise()


def resident_bytes(process: Process) -> int:
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) * 1024


def send(port: int, folder: Path, numbers: range) -> None:
    """Send over four associations at once, each with its own part of the files."""
    senders = []
    for association in range(ASSOCIATIONS):
        part = folder / f"{numbers.start}-{association}"
        part.mkdir()
        for number in numbers[association::ASSOCIATIONS]:
            (part / f"{number}.dcm").write_bytes(dicom_bytes(PIXELS, SOPInstanceUID=f"2.25.{number + 1}"))
        senders.append(subprocess.Popen([tool("storescu"), "-aec", "TRIAGE", "+sd", "127.0.0.1", str(port), str(part)]))
    assert [sender.wait(300) for sender in senders] == [0] * ASSOCIATIONS


def stored_uids(address: str) -> list[str]:
    uids: list[str] = []
    cursor = None
    with httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(INSTANCES // 500 + 2):
            page = client.get("/v1/predictions", params={"limit": 500} | ({"cursor": cursor} if cursor else {})).json()
            uids += [item["sop_instance_uid"] for item in page["items"]]
            if (cursor := page["next"]) is None:
                return uids
    raise AssertionError("the pages do not end")


def test_300_instances_over_four_associations_are_each_stored_once(artefact: Path, tmp_path: Path) -> None:
    variables = environment(artefact, tmp_path)
    with (
        service(variables, tmp_path / "service.log") as http,
        acceptor(variables, http.address, tmp_path / "log") as dimse,
    ):
        send(dimse.port, tmp_path, range(WARM))
        before = resident_bytes(dimse)
        send(dimse.port, tmp_path, range(WARM, INSTANCES))
        after = resident_bytes(dimse)

        assert sorted(stored_uids(http.address)) == sorted(f"2.25.{number + 1}" for number in range(INSTANCES))
    assert after - before < GROWTH_BYTES, (before, after)
