"""The picture in every transfer syntax, encoded by other programs than ours, which also decode lossy ones.

DCMTK, pylibjpeg (OpenJPEG) and imagecodecs (OpenJPH, libjpeg-turbo) write; the service reads with imagecodecs
(libjpeg-turbo, CharLS, OpenJPEG, OpenJPH) and pylibjpeg-rle.
"""

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
from openjpeg.utils import encode_array
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGExtended12Bit,
)

from tests.factories import encode
from tests.service.dicom.conformance.pairs import Combination
from tests.service.dicom.conformance.variations import PLAIN, depth

Encoder = Callable[[Dataset], bytes]
Decoder = Callable[[bytes], np.ndarray]

DEPTHS = {  # names as in the table
    "8": {"Bits Stored": "8 of 8", "VOI": "none"},
    "12": {"Bits Stored": "12"},
    "12 signed": {"Bits Stored": "12", "Pixel Representation": "signed"},
    "16": {"Bits Stored": "16"},
    "16 signed": {"Bits Stored": "16", "Pixel Representation": "signed"},
}
UNSIGNED = ("8", "12", "16")


@dataclass(frozen=True)
class Syntax:
    """A row of the table of transfer syntaxes.

    Attributes
    ----------
    name, uid
        Name and UID in PS3.6 annex A.
    encoder
        The program and its options.
    depths
        Keys of `DEPTHS`.
    decoder
        The other program that decodes a lossy syntax; its pixels are the reference.
    apart
        Allowed difference from the reference, in [0, 1], or one stored value where that is more.
    """

    name: str
    uid: str
    encoder: str
    encode: Encoder
    depths: tuple[str, ...] = tuple(DEPTHS)
    decoder: str = ""
    decode: Decoder | None = None
    apart: float = 0.0


def chosen(name: str) -> Combination:
    """Return the combination of the plain picture at a depth."""
    return PLAIN | DEPTHS[name]


def steps(name: str) -> float:
    """Return the difference of two neighbouring stored values on display, in [0, 1]."""
    return 1 / (255 * depth(chosen(name))[1])


def shades_of(values: np.ndarray, name: str) -> np.ndarray:
    """Return the expected display values, [H, W] float64, of stored values that an encoder has changed."""
    return np.clip((values.astype(np.float64) - depth(chosen(name))[2]) * steps(name), 0, 1)


def run(data: bytes, *command: str) -> bytes:
    """Run a program of DCMTK from file to file."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.dcm", Path(folder) / "out.dcm"
        source.write_bytes(data)
        subprocess.run([*command, source, target], check=True, capture_output=True, timeout=60)
        return target.read_bytes()


def dcmtk(*command: str) -> Encoder:
    return lambda dataset: run(encode(dataset), *command)


def stream(syntax: str, encoder: Callable[[np.ndarray, int], bytes]) -> Encoder:
    """Make an encoder that puts the code stream of the pixels into a file as its only fragment."""

    def write(dataset: Dataset) -> bytes:
        kind = "i" if dataset.PixelRepresentation else "u"
        pixels = np.frombuffer(dataset.PixelData, f"<{kind}{dataset.BitsAllocated // 8}")
        copy = Dataset(dataset)
        copy.PixelData = encapsulate([encoder(pixels.reshape(dataset.Rows, dataset.Columns), dataset.BitsStored)])
        copy["PixelData"].VR = "OB"
        copy["PixelData"].is_undefined_length = True
        return encode(copy, syntax)

    return write


def jpeg2000(ratio: float | None) -> Callable[[np.ndarray, int], bytes]:
    """Make an encoder with OpenJPEG, of a build that is not the service's, at `ratio` dB of PSNR or lossless."""
    ratios = None if ratio is None else [ratio]
    return lambda pixels, bits: bytes(encode_array(pixels, bits_stored=bits, signal_noise_ratios=ratios))


def htj2k(level: float | None) -> Callable[[np.ndarray, int], bytes]:
    """Make an encoder with OpenJPH, RPCL with TLM as HTJ2K RPCL requires; `level` is a step as a share of the range."""

    def encode(pixels: np.ndarray, bits: int) -> bytes:
        share = 2.0 ** (bits - 8 * pixels.itemsize)  # OpenJPH takes it as a share of the bits allocated
        step = level and level * share
        return bytes(imagecodecs.htj2k_encode(pixels, step, reversible=level is None, tlm=True))

    return encode


def extended(pixels: np.ndarray, bits: int) -> bytes:
    """Encode with libjpeg-turbo, 12 bits."""
    return bytes(imagecodecs.jpeg8_encode(pixels, level=95, bitspersample=bits))


def through(command: str) -> Decoder:
    """Make a decoder with a program of DCMTK, which writes native pixels."""

    def decode(data: bytes) -> np.ndarray:
        dataset = dcmread(BytesIO(run(data, command)))
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        words = np.frombuffer(dataset.PixelData, f"<u{dataset.BitsAllocated // 8}")
        return words.reshape(dataset.Rows, dataset.Columns)

    return decode


def fragment(data: bytes) -> bytes:
    """Return the code stream of a file."""
    return get_frame(dcmread(BytesIO(data)).PixelData, 0, number_of_frames=1)


def by_pylibjpeg(data: bytes) -> np.ndarray:
    """Decode JPEG 2000 or HTJ2K with pylibjpeg's build of OpenJPEG."""
    dataset = dcmread(BytesIO(data))
    values, _ = get_decoder(dataset.file_meta.TransferSyntaxUID).as_array(
        dataset, raw=True, decoding_plugin="pylibjpeg"
    )
    return values


def codec(decoder: Callable[[bytes], np.ndarray]) -> Decoder:
    return lambda data: decoder(fragment(data))


_LS, _2000, _HT = "dcmcjpls", "pylibjpeg (OpenJPEG)", "imagecodecs (OpenJPH)"
SYNTAXES = (
    Syntax("Implicit VR Little Endian", "1.2.840.10008.1.2", "dcmconv +ti", dcmtk("dcmconv", "+ti")),
    Syntax("Explicit VR Little Endian", "1.2.840.10008.1.2.1", "dcmconv +te", dcmtk("dcmconv", "+te")),
    Syntax("Explicit VR Big Endian", "1.2.840.10008.1.2.2", "dcmconv +tb", dcmtk("dcmconv", "+tb")),
    Syntax("Deflated Explicit VR Little Endian", "1.2.840.10008.1.2.1.99", "dcmconv +td", dcmtk("dcmconv", "+td")),
    Syntax("RLE Lossless", "1.2.840.10008.1.2.5", "dcmcrle", dcmtk("dcmcrle")),
    Syntax(
        *("JPEG Baseline (process 1)", "1.2.840.10008.1.2.4.50", "dcmcjpeg +eb +q 95"),
        dcmtk("dcmcjpeg", "+eb", "+sr", "+q", "95"),
        *(("8",), "dcmdjpeg", through("dcmdjpeg")),
    ),
    Syntax(
        *("JPEG Extended (process 2 and 4)", str(JPEGExtended12Bit), "imagecodecs (libjpeg-turbo), quality 95"),
        stream(JPEGExtended12Bit, extended),
        *(("12",), "dcmdjpeg", through("dcmdjpeg")),
    ),
    Syntax("JPEG Lossless (process 14)", "1.2.840.10008.1.2.4.57", "dcmcjpeg +el", dcmtk("dcmcjpeg", "+el")),
    Syntax("JPEG Lossless SV1", "1.2.840.10008.1.2.4.70", "dcmcjpeg +e1", dcmtk("dcmcjpeg", "+e1")),
    Syntax("JPEG-LS Lossless", "1.2.840.10008.1.2.4.80", f"{_LS} +el", dcmtk(_LS, "+el")),
    Syntax(
        *("JPEG-LS Near-Lossless", "1.2.840.10008.1.2.4.81", f"{_LS} +en +md 2", dcmtk(_LS, "+en", "+md", "2")),
        *(UNSIGNED, "dcmdjpls", through("dcmdjpls")),
    ),
    Syntax("JPEG 2000 Lossless", str(JPEG2000Lossless), _2000, stream(JPEG2000Lossless, jpeg2000(None))),
    Syntax(
        *("JPEG 2000", str(JPEG2000), f"{_2000}, 60 dB", stream(JPEG2000, jpeg2000(60)), UNSIGNED),
        *("pylibjpeg", by_pylibjpeg),
    ),
    Syntax("HTJ2K Lossless", str(HTJ2KLossless), _HT, stream(HTJ2KLossless, htj2k(None))),
    Syntax("HTJ2K Lossless RPCL", str(HTJ2KLosslessRPCL), _HT, stream(HTJ2KLosslessRPCL, htj2k(None))),
    Syntax(
        *("HTJ2K", str(HTJ2K), f"{_HT}, step 0.004", stream(HTJ2K, htj2k(0.004)), UNSIGNED),
        *("imagecodecs", codec(imagecodecs.htj2k_decode), 1 / 4080),
    ),
)
