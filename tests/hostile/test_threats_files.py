"""Threats of 2025 and 2026 that come as a file: a test for each, under the advisory that it answers."""

import asyncio
import io
import json
import logging
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
)

from service import telemetry
from service.dicom import decoder
from service.dicom.radiograph import radiograph
from service.dicom.reader import read
from service.errors import InputError, MalformedDicom, TooLarge, UnsuitableImage
from service.objects.overlay import image_png
from service.prediction.decoders import Decoders
from service.settings import SHIPPED_ARTEFACT, Limits
from service.storage.owner import OWNER
from tests.factories import chest, dicom_bytes, encode, ramp
from tests.hostile.code_streams import SEEDS, file
from tests.service.prediction.pools import pool
from tests.service.serving import Client, serving, settings_for

PIXELS = ramp(256, 300)
DATA = dicom_bytes(PIXELS)
GOOD = radiograph(DATA).header.display_sha256


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with pool() as decoders:
        yield decoders


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Yield the log of what runs inside."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    stream = io.StringIO()
    telemetry.configure(stream)
    yield stream
    root.handlers, root.level = handlers, level


@pytest.fixture(scope="module")
def log() -> Iterator[io.StringIO]:
    with logged() as stream:
        yield stream


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def client(folder: Path, log: io.StringIO) -> Iterator[Client]:
    limits = Limits(decode_workers=1, requests_per_second=0)
    with serving(settings_for(SHIPPED_ARTEFACT, folder, limits)) as client:
        yield client


def code_of(decoders: Decoders, data: bytes) -> str:
    """Return the code with which a file is refused, or `accepted`; the next good file is accepted."""
    try:
        asyncio.run(decoders.prepare(data, 64, "stretch"))
    except InputError as refusal:
        code = refusal.reasons[0].code if isinstance(refusal, UnsuitableImage) else refusal.code
    else:
        code = "accepted"
    assert asyncio.run(decoders.prepare(DATA, 64, "stretch")).header.display_sha256 == GOOD
    return code


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode an element in Explicit VR Little Endian."""
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    long = vr in ("OB", "OW", "SQ", "UN", "UT", "UC", "UR", "OF", "OD", "OL", "OV", "SV", "UV")
    return head + (struct.pack("<xxL", len(value)) if long else struct.pack("<H", len(value))) + value


def replaced(keyword: str, vr: str, value: bytes, data: bytes = DATA) -> bytes:
    """Put another element in the place of one, which is in Explicit VR Little Endian and has a short length."""
    tag = int(chest(PIXELS)[keyword].tag)
    start = data.index(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + chest(PIXELS)[keyword].VR.encode())
    length = int.from_bytes(data[start + 6 : start + 8], "little")
    return data[:start] + element(tag, vr, value) + data[start + 8 + length :]


# OpenJPEG < 2.5.4: CVE-2025-54874 and others, in the boxes of JP2 and in the code stream


def boxes(*contents: tuple[bytes, bytes]) -> bytes:
    return b"".join(struct.pack(">L", 8 + len(content)) + name + content for name, content in contents)


J2K = bytes(imagecodecs.jpeg2k_encode(PIXELS, codecformat="J2K"))
SIGNATURE = boxes((b"jP  ", b"\r\n\x87\n"), (b"ftyp", b"jp2 \0\0\0\0jp2 "))
HEADER = struct.pack(">LLHBBBB", 256, 300, 1, 11, 7, 0, 0)
HOSTILE_HEADERS = {
    "sound": boxes((b"ihdr", HEADER), (b"colr", b"\1\0\0\0\0\0\x11")),
    "CVE-2025-54874, a palette without columns": boxes((b"ihdr", HEADER), (b"pclr", b"\0\1\0")),
    "a palette of 1,024 entries that are not there": boxes((b"ihdr", HEADER), (b"pclr", b"\4\0\x03\7\7\7")),
    "channels beyond": boxes((b"ihdr", HEADER), (b"cmap", b"\0\xff\1\xff"), (b"cdef", b"\xff\xff" + b"\xff" * 6)),
    "another size": boxes((b"ihdr", struct.pack(">LLHBBBB", 2**31, 2**31, 2**16 - 1, 255, 7, 0, 0))),
    "a profile of 4 GB": boxes((b"ihdr", HEADER)) + b"\xff\xff\xff\xffcolr\2\0\0" + bytes(100),
    "none": b"",
}


def jp2(header: bytes, stream: bytes = J2K) -> bytes:
    return SIGNATURE + boxes((b"jp2h", header), (b"jp2c", stream))


@pytest.mark.parametrize("name", HOSTILE_HEADERS)
def test_boxes_of_jp2_are_stripped_before_any_decoder_sees_them(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    frames = []

    def spy(syntax_decoder: object, frame: bytes) -> object:
        frames.append(frame)
        return syntax_decoder(frame)  # type: ignore[operator]

    for syntax, syntax_decoder in decoder._DECODERS.items():
        monkeypatch.setitem(decoder._DECODERS, syntax, partial(spy, syntax_decoder))
    data = file(JPEG2000Lossless, PIXELS, jp2(HOSTILE_HEADERS[name]))

    assert np.array_equal(decoder.decode(read(data)), PIXELS)
    assert [frame.rstrip(b"\0") for frame in frames] == [J2K]
    for syntax in (JPEGBaseline8Bit, JPEGLSLossless, HTJ2KLossless):
        with pytest.raises(MalformedDicom):
            decoder.decode(read(file(syntax, PIXELS, jp2(HOSTILE_HEADERS[name]))))
    assert all(frame[:4] == b"\xff\x4f\xff\x51" for frame in frames)


def test_a_code_stream_behind_boxes_too_long_to_strip_is_refused(decoders: Decoders) -> None:
    stream = jp2(boxes((b"uuid", bytes(5000))))
    assert code_of(decoders, file(JPEG2000Lossless, PIXELS, stream)) == "pixel_data_corrupt"


def changed(position: int, content: bytes, stream: bytes = J2K) -> bytes:
    return stream[:position] + content + stream[position + len(content) :]


SOD = J2K.index(b"\xff\x93")
TILE = J2K.index(b"\xff\x90")


@pytest.mark.parametrize(
    "stream",
    [
        J2K[:SOD],
        J2K[: SOD + 2],
        J2K[: SOD + 2] + b"\xff\xd9",
        J2K[: SOD + 20] + b"\xff\xd9",
        J2K[: len(J2K) // 2] + b"\xff\xd9",
        changed(TILE + 6, bytes(4)),  # Psot 0: to the end
        changed(TILE + 6, b"\xff" * 4),
        changed(TILE + 6, struct.pack(">L", 12)),
        changed(TILE + 4, b"\xff\xff"),  # Isot: a tile that is not there
    ],
    ids=range(9),
)
def test_a_truncated_sod_is_refused_or_a_picture(decoders: Decoders, stream: bytes) -> None:
    assert code_of(decoders, file(JPEG2000Lossless, PIXELS, stream)) in ("pixel_data_corrupt", "accepted")


@pytest.mark.parametrize(
    ("position", "content"),
    [
        (43, b"\2\2"),  # XRsiz, YRsiz: each sample for four pixels
        (43, b"\1\2"),
        (43, b"\xff\xff"),
        (43, b"\0\0"),
        (40, b"\0\3"),  # Csiz, whose components are not there
        (40, b"\x40\0"),
        (40, b"\0\0"),
        (42, b"\x25"),  # Ssiz: 38 bits, the most
        (42, b"\x7f"),
        (24, struct.pack(">LL", 1, 1)),  # XTsiz, YTsiz: 76,800 tiles of one pixel
        (24, struct.pack(">LL", 0, 0)),
        (32, struct.pack(">LL", 2**32 - 1, 2**32 - 1)),  # XTOsiz, YTOsiz
        (8, struct.pack(">LLLL", 2**32 - 1, 2**32 - 1, 2**32 - 301, 2**32 - 257)),  # Xsiz to YOsiz: 300 x 256, far off
        (4, b"\0\0"),  # Lsiz
    ],
    ids=str,
)
def test_components_that_are_subsampled_or_tiles_that_are_none_are_refused(
    decoders: Decoders, position: int, content: bytes
) -> None:
    code = code_of(decoders, file(JPEG2000Lossless, PIXELS, changed(position, content)))
    assert code in ("pixel_data_corrupt", "decoder_failed", "decode_timeout")


# CVE-2026-5437: over-read in group 0002

META_END = 132 + 12 + struct.unpack_from("<L", DATA, 140)[0]


def test_group_0002_truncated_at_each_byte_is_refused() -> None:
    for size in range(META_END + 8):
        with pytest.raises(MalformedDicom) as refusal:
            read(DATA[:size])
        assert refusal.value.code in ("truncated", "not_dicom", "structure_invalid"), size


def test_a_length_in_group_0002_that_is_beyond_is_refused() -> None:
    positions = [match.start() for match in re.finditer(rb"\x02\0.\0[A-Z]{2}", DATA[:META_END], re.DOTALL)]
    assert len(positions) >= 5
    for position in positions:
        long = DATA[position + 4 : position + 6] == b"OB"
        place, size = (position + 8, 4) if long else (position + 6, 2)
        for length in (b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\xff\x7f\0\0", b"\0\0\1\0"):
            data = DATA[:place] + length[:size] + DATA[place + size :]
            if data == DATA:
                continue
            with pytest.raises(InputError):
                radiograph(data)


# CVE-2026-3650, GDCM: VRs in the file meta information


@pytest.mark.parametrize("vr", ["UN", "OB", "UT", "SQ", "ZZ", "??", "\0\0", "US", "FD", "AT", "PN", "OV"])
@pytest.mark.parametrize("tag", [0x00020001, 0x00020010, 0x00020102])
def test_any_vr_in_the_file_meta_information_is_right_or_refused(vr: str, tag: int) -> None:
    syntax = b"1.2.840.10008.1.2.1\0"
    head = DATA[:144]
    tracemalloc.start()
    try:
        for value in (syntax, b"", b"\1", b"\xff" * 6_000):
            meta = element(0x00020010, "UI", syntax) if tag != 0x00020010 else b""
            parts = sorted([(0x00020010, meta), (tag, element(tag, vr, value))])
            try:
                image = radiograph(head + b"".join(part for _, part in parts) + DATA[META_END:])
            except InputError:
                continue
            assert image.header.display_sha256 == GOOD
        assert tracemalloc.get_traced_memory()[1] < 20 * 2**20  # the file has 160 kB
    finally:
        tracemalloc.stop()


# CVE-2026-5441: Philips's private compression


def test_the_private_elements_of_a_compression_are_ignored(decoders: Decoders) -> None:
    dataset = chest(PIXELS)
    dataset.add_new(0x07A10010, "LO", "ELSCINT1")
    dataset.add_new(0x07A1100A, "OB", b"\x81\xff" * 500)
    dataset.add_new(0x07A11010, "UL", 2**32 - 1)
    dataset.add_new(0x07A11011, "CS", "PMSCT_RLE1")

    prepared = asyncio.run(decoders.prepare(encode(dataset), 64, "stretch"))

    assert prepared.header.display_sha256 == GOOD


# CVE-2026-5442: Rows and Columns in other VRs, with other values


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
@pytest.mark.parametrize(
    ("vr", "form"),
    [("UL", "<L"), ("SL", "<l"), ("SS", "<h"), ("FL", "<f"), ("FD", "<d"), ("UV", "<Q"), ("IS", ""), ("DS", "")],
)
def test_rows_and_columns_in_another_vr_are_read_right(keyword: str, vr: str, form: str) -> None:
    value = PIXELS.shape[0] if keyword == "Rows" else PIXELS.shape[1]
    content = struct.pack(form, value) if form else str(value).encode().ljust(4)
    assert radiograph(replaced(keyword, vr, content)).header.display_sha256 == GOOD


@pytest.mark.parametrize("keyword", ["Rows", "Columns"])
@pytest.mark.parametrize(
    ("vr", "value"),
    [
        ("US", b"\0\0"),
        ("US", b"\xff\xff"),
        ("US", b"\1\0"),
        ("US", b""),
        ("US", b"\0\1\0\1"),
        ("US", b"\0\1" * 30_000),
        ("US", b"\0\1\0"),
        ("UL", struct.pack("<L", 2**31)),
        ("UL", struct.pack("<L", 2**32 - 1)),
        ("SL", struct.pack("<l", -256)),
        ("SS", struct.pack("<h", -1)),
        ("UV", struct.pack("<Q", 2**64 - 1)),
        ("SV", struct.pack("<q", -(2**63))),
        ("IS", b"-256"),
        ("IS", b"2147483648"),
        ("IS", b"999999999999"),
        ("IS", b"0x100 "),
        ("IS", b"256\\256 "),
        ("IS", b"1e9 "),
        ("DS", b"256.5 "),
        ("DS", b"1e300 "),
        ("DS", b"inf "),
        ("FD", struct.pack("<d", float("nan"))),
        ("FD", struct.pack("<d", float("inf"))),
        ("FD", struct.pack("<d", 2.0**63)),
        ("OB", b"\0\1"),
        ("UN", b"\0\1\0\1\0\1"),
        ("SQ", b""),
        ("SQ", b"\xfe\xff\x00\xe0\0\0\0\0"),
        ("AT", b"\x28\0\x10\0"),
        ("PN", b"Canary"),
    ],
    ids=str,
)
def test_rows_and_columns_that_are_no_size_of_the_image_are_refused(keyword: str, vr: str, value: bytes) -> None:
    with pytest.raises((MalformedDicom, TooLarge, UnsuitableImage)) as refusal:
        radiograph(replaced(keyword, vr, value))
    assert "Canary" not in refusal.value.message


# CVE-2026-5443, 5445: PALETTE COLOR; bytes of the heap in a picture


def palette(entries: int, first: int, bits: int, values: int) -> Dataset:
    dataset = chest(PIXELS.astype(np.uint8), PhotometricInterpretation="PALETTE COLOR", PresentationLUTShape=None)
    for colour in ("Red", "Green", "Blue"):
        dataset.add_new(f"{colour}PaletteColorLookupTableDescriptor", "US", [entries, first, bits])
        dataset.add_new(f"{colour}PaletteColorLookupTableData", "OW", bytes(values))
    return dataset


@pytest.mark.parametrize(
    "table", [(256, 0, 16, 512), (256, 0, 16, 2), (256, 0, 8, 0), (0, 0, 16, 4), (4, 65535, 16, 8)], ids=str
)
def test_palette_color_is_refused_whatever_its_tables_are(decoders: Decoders, table: tuple[int, ...]) -> None:
    assert code_of(decoders, encode(palette(*table))) == "colour_image"


def short_table(count: int, first: int, entries: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [count, first, 16])
    item.add_new("LUTData", "OW", np.arange(entries, dtype="<u2").tobytes())
    return item


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
def test_a_table_shorter_than_it_states_is_refused_or_not_used(decoders: Decoders, keyword: str) -> None:
    data = dicom_bytes(PIXELS, **{keyword: [short_table(4096, 0, 10)]})
    code = code_of(decoders, data)
    assert code == "value_invalid" if keyword == "ModalityLUTSequence" else code in ("value_invalid", "accepted")


def test_no_uninitialised_byte_is_in_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The C library fills memory that it gives out: with two fill patterns, every picture must be the same."""
    files = [
        DATA,
        dicom_bytes(PIXELS, VOILUTSequence=[short_table(16, 2000, 16)]),  # nearly all indices are beyond it
        dicom_bytes(PIXELS, ModalityLUTSequence=[short_table(300, 4000, 300)]),
        dicom_bytes(PIXELS[:, :-1], PixelAspectRatio=[3, 1]),
        dicom_bytes(PIXELS, ShutterShape="CIRCULAR", CenterOfCircularShutter=[9, 9], RadiusOfCircularShutter=40),
        *(seed.file() for seed in SEEDS.values()),
        *(seed.file(seed.stream[: len(seed.stream) // 2] + seed.stream[-2:]) for seed in SEEDS.values()),
    ]
    pictures = []
    for pattern in ("85", "170"):
        monkeypatch.setenv("MALLOC_PERTURB_", pattern)
        with pool() as decoders:
            pictures.append([picture(decoders, data) for data in files])
    assert pictures[0] == pictures[1]
    assert sum(isinstance(each, bytes) for each in pictures[0]) >= 5 + len(SEEDS)


def picture(decoders: Decoders, data: bytes) -> bytes | str:
    try:
        return asyncio.run(decoders.render(data, partial(image_png, width=200)))
    except InputError as refusal:
        return refusal.code


# CVE-2026-5444: PAM inside DICOM

PAM = b"P7\nWIDTH 300\nHEIGHT 256\nDEPTH 1\nMAXVAL 65535\nTUPLTYPE GRAYSCALE\nENDHDR\n"


@pytest.mark.parametrize("syntax", sorted({seed.syntax for seed in SEEDS.values()}))
@pytest.mark.parametrize("head", [PAM, PAM.replace(b"300", b"2147483647"), b"P5 300 256 65535\n", b"BM", b"GIF89a"])
def test_a_picture_of_another_kind_inside_dicom_is_refused(decoders: Decoders, syntax: str, head: bytes) -> None:
    data = file(syntax, PIXELS, head + PIXELS.astype(">u2").tobytes())
    assert code_of(decoders, data) == "pixel_data_corrupt"
    assert code_of(decoders, head + PIXELS.tobytes()) == "not_dicom"


# CVE-2026-32711, pydicom < 3.0.2: DICOMDIR


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
@pytest.mark.parametrize("target", [["..", "..", "ETC", "PASSWD"], ["/etc/passwd"], ["IMAGES\0", "X"], "."])
def test_a_dicomdir_is_refused_and_no_file_that_it_names_is_opened(decoders: Decoders, target: list[str] | str) -> None:
    record = Dataset()
    record.DirectoryRecordType = "IMAGE"
    record.add_new("ReferencedFileID", "CS", target)
    directory = Dataset()
    directory.SOPClassUID, directory.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3"
    directory.FileSetID = "SET"
    directory.DirectoryRecordSequence = [record]
    assert code_of(decoders, encode(directory)) == "pixel_data_missing"


# io-dicom#35, fo-dicom#1678, CVE-2026-5439: inflate without bound, archives


def test_a_deflated_data_set_is_inflated_to_the_bound_and_not_beyond(decoders: Decoders) -> None:
    head = encode(chest(PIXELS), DeflatedExplicitVRLittleEndian)
    start = 144 + struct.unpack_from("<L", head, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(element(0x00080060, "CS", b"DX")) + packer.flush(zlib.Z_FULL_FLUSH)
    mebibyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)  # it may be repeated
    bomb = first + mebibyte * 4096 + packer.flush()
    assert len(bomb) < 2**23  # 4 GiB

    assert code_of(decoders, head[:start] + bomb) == "inflated_too_large"


def test_an_archive_is_refused_unopened(client: Client) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr("../../image.dcm", DATA)
    for content in (archive.getvalue(), archive.getvalue().replace(b"PK\x01\x02", b"PK\x01\x02\xff\xff\xff\xff")):
        answer = client.post(content)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_dicom")
        for media_type in ("application/zip", "application/x-zip-compressed", "application/gzip"):
            assert client.post(content, media_type).status_code == 415


# CVE-2026-5663, 50003, 52868: shell characters and traversal in UIDs

HOSTILE_UIDS = [
    *("1.2;reboot", "1.2|id", "$(reboot)", "`reboot`", "1.2\n{}", '1.2\r\n"level": "info"', "1.2 && id", "${IFS}1"),
    *("../../../etc/passwd", "/etc/passwd", "1.2/../3", "..", ".", "C:\\1.2", "%2e%2e%2f", "1.2\x00.3", "1.2\x1b[2J"),
    *("1.2\u202e3", "\u0661.\u0662", "\uff11.\uff12", "1..2", "1." * 40 + "1", "-rf", "~root", "1.2<script>"),
]


@pytest.mark.parametrize("uid", HOSTILE_UIDS, ids=ascii)
def test_hostile_uids_are_in_no_log_line_and_no_file_name(
    client: Client, folder: Path, log: io.StringIO, uid: str
) -> None:
    written, before = log.tell(), names(folder)
    utf_8 = dicom_bytes(PIXELS, SpecificCharacterSet="ISO_IR 192")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        for vr in ("UI", "UT"):
            answer = client.post(replaced(keyword, vr, uid.encode(), utf_8))
            assert (answer.status_code, answer.json()["code"]) == (400, "uid_invalid")
            assert uid not in answer.text or len(uid) < 4
    lines = log.getvalue()[written:]
    assert len([json.loads(line) for line in lines.splitlines()]) == 12  # two for each request
    assert len(uid) < 4 or (uid not in lines and json.dumps(uid)[1:-1] not in lines)
    assert all(re.fullmatch("[0-9a-f]{2}", name) for name in names(folder) - before)  # folders, now empty


def names(folder: Path) -> set[str]:
    return {path.name for path in (folder / "instances").rglob("*")}


def test_a_file_that_is_kept_has_a_name_that_nobody_sent(client: Client, folder: Path) -> None:
    assert client.post(DATA).status_code == 200
    kept = {path.name for path in (folder / "instances").rglob("*") if path.is_file()} - {OWNER}
    assert kept
    assert all(re.fullmatch(r"[0-9a-f]{32}\.dcm", name) for name in kept)


# sdc11073#522: a log that is larger than the request


def test_the_log_of_a_hostile_file_is_short(client: Client, log: io.StringIO) -> None:
    long = "A" * 60_000
    files = [
        b"",
        b"\0" * 2000,
        DATA[:5000],
        replaced("PatientName", "LO", long.encode()),
        replaced("Modality", "LO", long.encode()),
        replaced("SOPInstanceUID", "LO", long.encode()),
        replaced("BodyPartExamined", "UT", b"A\\" * 30_000),
        replaced("Rows", "US", b"\0\1" * 30_000),
        DATA.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.9.1\0"),
        *(seed.file(b"\xff\xd8" * 5000) for seed in SEEDS.values()),
        encode(chest(PIXELS, OtherPatientIDsSequence=[Dataset() for _ in range(6000)]), ImplicitVRLittleEndian),
        dicom_bytes(PIXELS, SpecificCharacterSet="ISO_IR 100").replace(b"ISO_IR 100", b"ISO_IR 666"),
    ]
    for data in files:
        written = log.tell()
        client.post(data)
        line = log.getvalue()[written:]
        assert 0 < len(line) < 2000, line[:300]
        assert "AAAA" not in line
