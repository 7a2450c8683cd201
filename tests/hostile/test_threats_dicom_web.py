"""Attacks on STOW-RS and on queries that were published in 2025 and 2026, on the service as a process.

Each test names its source; `tests/hostile/test_fuzz.py` varies the bodies.
"""

import gzip
import io
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.uid import MediaStorageDirectoryStorage

from bench.processes import memory_bytes, tree
from service.dicom_web.query import KEYS
from tests.hostile import dicom
from tests.hostile.generators import SIZE, good
from tests.hostile.test_threats_dimse import HOSTILE, stored_files
from tests.service.dimse.serving import Process, environment, service

STOW = "/dicom-web/studies"
SEARCHES = (
    STOW,
    "/dicom-web/series",
    "/dicom-web/instances",
    f"{STOW}/2.25.1001/series",
    f"{STOW}/2.25.1001/instances",
)
SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("threats")


@pytest.fixture(scope="module")
def running(artefact: Path, folder: Path) -> Iterator[Process]:
    with service(environment(artefact, folder, TRIAGE_LIMITS__REQUESTS_PER_SECOND="0"), folder / "log") as process:
        yield process
        assert '"unexpected"' not in process.log.read_text()


@pytest.fixture(scope="module")
def client(running: Process) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.address, timeout=60, trust_env=False) as client:
        stored = client.post("/v1/predictions", content=good("good"), headers={"Content-Type": "application/dicom"})
        assert stored.status_code == 200
        yield client


def multipart(*files: bytes) -> tuple[bytes, dict[str, str]]:
    parts = (b"--b\r\nContent-Type: application/dicom\r\n\r\n" + file + b"\r\n" for file in files)
    return b"".join(parts) + b"--b--", {"Content-Type": 'multipart/related; type="application/dicom"; boundary=b'}


def store(client: httpx.Client, *files: bytes) -> httpx.Response:
    body, headers = multipart(*files)
    return client.post(STOW, content=body, headers=headers)


def radiograph(**uids: str) -> bytes:
    """Return a good radiograph with other UIDs: `instance`, `study`, `series`."""
    file = dicom.radiograph(bytes(SIZE * SIZE), SIZE, SIZE, 8, dicom.EXPLICIT, uids.get("instance", "2.25.911"))
    for tag, name in ((0x0020000D, "study"), (0x0020000E, "series")):
        if name in uids:
            file = dicom.with_element(file, dicom.Element(tag, "UI", dicom.uid(uids[name])))
    return dicom.written(file)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "x-gzip", "gzip, gzip", "GZIP"])
def test_a_body_is_never_inflated(running: Process, client: httpx.Client, coding: str) -> None:
    """CVE-2026-5438: 512 MB of zeros in half a megabyte."""
    bomb = b"".join(_bomb()) if "gzip" in coding else zlib.compress(bytes(2**20))
    before = memory_bytes(tree(running.process.pid))
    for path in (STOW, "/v1/predictions"):
        body = multipart()[1] | {"Content-Encoding": coding}
        assert client.post(path, content=bomb, headers=body).status_code == 415

    assert memory_bytes(tree(running.process.pid)) - before < 50 * 2**20


def _bomb() -> Iterator[bytes]:
    packer = zlib.compressobj(9, wbits=31)
    for _ in range(512):
        yield packer.compress(bytes(2**20))
    yield packer.flush()


def test_archives_and_other_formats_in_a_part_are_refused(client: httpx.Client) -> None:
    """CVE-2026-5439, 5444, 32711: a ZIP with a wrong size, gzip, PAM, and a DICOMDIR that names a file elsewhere."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("../../x.dcm", good("zip"))
    lying = archive.getvalue().replace((2**16 + 600).to_bytes(4, "little"), b"\xff\xff\xff\x7f")
    directory = dicom.File(
        (*dicom.meta(dicom.EXPLICIT, "2.25.1")[:1], *_meta(MediaStorageDirectoryStorage)),
        (dicom.Element(0x00041220, "SQ", ((dicom.Element(0x00041500, "CS", b"..\\..\\..\\ETC\\PASSWD "),),)),),
    )
    pam = b"P7\nWIDTH 2147483647\nHEIGHT 2147483647\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n"
    within = dicom.radiograph(dicom.fragments(pam), SIZE, SIZE, 8, "1.2.840.10008.1.2.4.50", "2.25.912")
    files = [
        archive.getvalue(),
        lying,
        gzip.compress(good("gzip")),
        pam,
        dicom.written(directory),
        dicom.written(within),
    ]

    answer = store(client, *files)

    assert answer.status_code == 409
    # Failed SOP Sequence, Other Failures Sequence, and no Referenced SOP Sequence: PS3.18 table 10.5.3-2
    failures = [item for tag in ("00081198", "0008119A") for item in answer.json()[tag]["Value"]]
    assert len(failures) == len(files)
    assert "00081199" not in answer.json()


def _meta(sop_class: str) -> tuple[dicom.Element, ...]:
    others = dicom.meta(dicom.EXPLICIT, "2.25.1")[2:]
    return (dicom.Element(0x00020002, "UI", dicom.uid(sop_class)), *others)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_uid_of_a_file_leads_out_of_the_folder_or_into_the_log(
    running: Process, client: httpx.Client, folder: Path, text: str
) -> None:
    """CVE-2026-50003, 52868."""
    before = stored_files(folder)
    answers = [
        store(client, radiograph(instance=text)),
        store(client, radiograph(study=text)),
        store(client, radiograph(series=text)),
    ]

    assert all(answer.status_code in (200, 409) for answer in answers), [answer.text for answer in answers]
    names = stored_files(folder) - before
    assert len(names) == sum(answer.status_code == 200 for answer in answers)
    assert not any(part in name for name in names for part in ("..", "out", ";", "$", "\n", text))
    assert not Path("/tmp/out").exists()
    log = running.log.read_text()
    assert text not in log
    assert text.encode("unicode_escape").decode() not in log


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_uid_of_a_path_leads_out_of_the_folder(client: httpx.Client, text: str) -> None:
    """CVE-2026-50003, 52868: as the client writes it, and with each character encoded."""
    for uid in (quote(text, safe=""), quote(quote(text, safe=""), safe="")):
        for path in (f"{STOW}/{uid}", f"{STOW}/{uid}/metadata", f"{STOW}/2.25.1001/series/{uid}/instances/{uid}"):
            answer = client.get(path)
            assert answer.status_code in (400, 404), (path, answer.status_code)
            assert b"root:" not in answer.content
    body, headers = multipart(good("elsewhere"))
    assert client.post(f"{STOW}/{quote(text, safe='')}", content=body, headers=headers).status_code in (400, 404, 409)


_KEYS = sorted({key for keys in KEYS.values() for key in keys} | {"limit", "offset", "includefield", "fuzzymatching"})
_VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                "",
                "*",
                "?",
                "*" * 9,
                "?" * 1024,
                "%",
                "_",
                "\\",
                "'",
                "' OR 1=1 --",
                '"',
                "1,2",
                "\0",
                "null",
                "-1",
                "1e9",
            ),
            *(
                "999999999",
                "9" * 30,
                "20260101-",
                "-",
                "99999999-00000000",
                "240000",
                "all",
                "true",
                "٣",
                "\ud83d\ude00",
            ),
        ]
    ),
    st.text(max_size=40),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(SEARCHES),
    st.lists(st.tuples(st.sampled_from(_KEYS) | st.text(max_size=12) | st.just("0020000D"), _VALUES), max_size=4),
)
def test_no_query_crashes_or_hangs(client: httpx.Client, path: str, parameters: list[tuple[str, str]]) -> None:
    """CVE-2026-35505, 44628."""
    pairs = "&".join(
        f"{quote(key.encode('utf-8', 'replace'))}={quote(value.encode('utf-8', 'replace'))}"
        for key, value in parameters
    )
    start = time.monotonic()

    assert client.get(f"{path}?{pairs}").status_code in (200, 204, 400)
    assert time.monotonic() - start < SECONDS


@pytest.mark.parametrize("key", ["StudyInstanceUID", "ModalitiesInStudy", "includefield", "PatientName", "0020000D"])
def test_a_query_with_many_values_is_answered(client: httpx.Client, key: str) -> None:
    """CVE-2026-44628; as many as fit into a request line of uvicorn's."""
    for value in (",".join("1" * 30_000), f"1&{key}=" * 2_000, "*a" * 25_000, "(" * 1000, "%00", "%ff%fe", "%ed%a0%80"):
        assert client.get(f"{STOW}?{key}={value}").status_code in (200, 204, 400, 414, 431)
