"""Hostile inputs, each named by a generator and a seed: the same name gives the same bytes."""

import uuid
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from service.dicom.codestream import describe
from tests.hostile import codestream, dicom, dimse, multipart
from tests.hostile.codestream import Segment

SEEDS = Path(__file__).with_name("seeds")
SIZE = 256
SYNTAX_OF = {  # of each code stream in `seeds`
    "jpeg_baseline_8": "1.2.840.10008.1.2.4.50",
    "jpeg_extended_12": "1.2.840.10008.1.2.4.51",
    "jpeg_lossless_12": "1.2.840.10008.1.2.4.70",
    "jpeg_ls_12": "1.2.840.10008.1.2.4.80",
    "jpeg_ls_near_8": "1.2.840.10008.1.2.4.81",
    "jpeg2000_lossless_12": "1.2.840.10008.1.2.4.90",
    "jpeg2000_8": "1.2.840.10008.1.2.4.91",
    "htj2k_lossless_12": "1.2.840.10008.1.2.4.201",
    "htj2k_8": "1.2.840.10008.1.2.4.203",
    "rle_8": "1.2.840.10008.1.2.5",
    "rle_12": "1.2.840.10008.1.2.5",
}
ROUTES = ("predictions", "stow", "dimse")


@dataclass(frozen=True)
class Input:
    """What is sent by which route; `name` makes it again."""

    name: str
    route: str
    body: bytes
    content_type: bytes = b"application/dicom"


def names(first: int, count: int) -> list[str]:
    """Return names of inputs of all generators in turn, from the `first`."""
    kinds = [*("dicom",) * 6, *SYNTAX_OF, *("stow",) * 4, *("dimse",) * 6]
    return [f"{kinds[number % len(kinds)]}/{number}" for number in range(first, first + count)]


def make(name: str) -> Input:
    """Return the input of a name, GENERATOR/SEED."""
    generator = name.partition("/")[0]
    random = Random(name)
    if generator == "stow":
        content_type, data = multipart.body(
            [_file(f"{name}/{part}", random) for part in range(random.randrange(4))], random
        )
        return Input(name, "stow", data, content_type)
    if generator == "dimse":
        files = [_file(f"{name}/{part}", random) for part in range(random.choice((0, 1, 1, 2)))]
        return Input(name, "dimse", dimse.script([_data_set(file) for file in files], random))
    if generator == "dicom":
        return Input(name, "predictions", _mutated_file(name, random))
    return Input(name, "predictions", _mutated_stream(name, generator, random))


def good(name: str) -> bytes:
    """Return a file that is accepted; its instance is that of the name."""
    return dicom.written(_radiograph("native", name))


def large(name: str) -> bytes:
    """Return a radiograph of 2,816 x 2,816 pixels of 12 bits, as large as those of detectors.

    Its values take nearly as much memory as a decoder process keeps in one piece, `service.prediction.freed_memory`.
    """
    side = 11 * SIZE
    pixels = b"".join(dicom.us(row % 4096) * side for row in range(side))
    return dicom.written(dicom.radiograph(pixels, side, side, 12, dicom.EXPLICIT, instance(name)))


def instance(name: str) -> str:
    """Return a UID that belongs to a name, so that no two inputs are one instance."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_URL, name).int}"


def stream(kind: str) -> bytes:
    """Return the code stream of a kind, as its encoder wrote it."""
    return _stream(kind)


@cache
def _stream(kind: str) -> bytes:
    return (SEEDS / f"{kind}.bin").read_bytes()


@cache
def _segments(kind: str) -> tuple[Segment, ...]:
    parts = codestream.jpeg2000 if "2000" in kind or "j2k" in kind else codestream.jpeg
    return tuple(codestream.jpeg_ls(_stream(kind)) if kind.startswith("jpeg_ls") else parts(_stream(kind)))


@cache
def _other_segments() -> tuple[Segment, ...]:
    return tuple(segment for kind in SYNTAX_OF if not kind.startswith("rle") for segment in _segments(kind))


@cache
def _native() -> bytes:
    """Return pixels of 8 bits: a gradient with a bright place."""
    rows = range(SIZE)
    return bytes(
        min(255, (row + column) // 3 + 80 * (row // 64 == 2 and column // 64 == 1)) for row in rows for column in rows
    )


def _radiograph(kind: str, name: str, pixels: bytes | None = None) -> dicom.File:
    """Return a radiograph of a kind of pixel data: `native`, or a code stream."""
    if kind == "native":
        return dicom.radiograph(_native(), SIZE, SIZE, 8, dicom.EXPLICIT, instance(name))
    data = _stream(kind) if pixels is None else pixels
    bits = 8 if kind.endswith("_8") else 12
    value = dicom.fragments(data + b"\0" * (len(data) % 2))
    return dicom.radiograph(value, SIZE, SIZE, bits, SYNTAX_OF[kind], instance(name))


def _mutated_file(name: str, random: Random) -> bytes:
    kind = random.choice(("native", "native", "native", *SYNTAX_OF))
    return dicom.mutated(_radiograph(kind, name), random)


def _mutated_stream(name: str, kind: str, random: Random) -> bytes:
    if kind.startswith("rle"):
        pixels = codestream.rle_mutated(_stream(kind), random)
    else:
        pixels = codestream.mutated(list(_segments(kind)), random, list(_other_segments()))
    file = _radiograph(kind, name, pixels)
    stated = describe(pixels) if random.random() < 0.3 else None
    if stated is not None:  # the header agrees with the size in the stream, so that its decoder is reached
        for tag, length in ((0x00280010, stated.rows), (0x00280011, stated.columns)):
            file = dicom.with_element(file, dicom.Element(tag, "US", dicom.us(length)))
    return dicom.written(file)


def _file(name: str, random: Random) -> bytes:
    choice = random.randrange(4)
    if choice == 0:
        return good(name)
    if choice == 1:
        return _mutated_stream(name, random.choice(tuple(SYNTAX_OF)), random)
    if choice == 2:
        return random.choice((b"", b"DICM", bytes(200), b"PK\3\4" + bytes(100), b"\x1f\x8b" + bytes(60)))
    return _mutated_file(name, random)


def _data_set(file: bytes) -> bytes:
    """Return what follows group 0002, as C-STORE sends it."""
    length = int.from_bytes(file[140:144], "little") if len(file) > 144 else 0
    return file[144 + length :] if length < 1000 else file[144:]
