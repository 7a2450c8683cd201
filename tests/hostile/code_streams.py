"""Small valid code streams of every codec, and files around them."""

from collections.abc import Callable
from dataclasses import dataclass

import imagecodecs
import numpy as np
from pydicom.encaps import get_frame
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.factories import chest, compressed_dataset, encode

ROWS, COLUMNS = 40, 56


def picture(bits: int) -> np.ndarray:
    """A wave with noise, so that no part of a stream is empty."""
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS]
    wave = 0.5 + 0.4 * np.sin(rows / 5) * np.cos(columns / 7)
    values = wave + np.random.default_rng(bits).normal(0, 0.02, wave.shape)
    return np.clip(values * (2**bits - 1), 0, 2**bits - 1).astype(np.uint8 if bits <= 8 else np.uint16)


@dataclass(frozen=True)
class Seed:
    """A stream that decodes."""

    syntax: str
    pixels: np.ndarray
    stream: bytes

    def file(self, stream: bytes | None = None) -> bytes:
        """Return a file with this stream, or with another in its place."""
        return file(self.syntax, self.pixels, self.stream if stream is None else stream)


def file(syntax: str, pixels: np.ndarray, stream: bytes, **elements: object) -> bytes:
    padded = stream + b"\0" * (len(stream) % 2)
    items = b"\xfe\xff\x00\xe0\0\0\0\0" + b"\xfe\xff\x00\xe0" + len(padded).to_bytes(4, "little") + padded
    dataset = chest(pixels, PixelData=items, **elements)  # pydicom's `encapsulate` refuses an empty stream
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return encode(dataset, syntax)


def _seed(syntax: str, bits: int, encoder: Callable[[np.ndarray], bytes]) -> Seed:
    pixels = picture(bits)
    return Seed(str(syntax), pixels, bytes(encoder(pixels)))


def _rle(pixels: np.ndarray) -> bytes:
    return get_frame(compressed_dataset(chest(pixels), RLELossless).PixelData, 0, number_of_frames=1)


SEEDS = {
    "JPEG, 8 bits": _seed(JPEGBaseline8Bit, 8, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90)),
    "JPEG, 12 bits": _seed(
        JPEGExtended12Bit, 12, lambda pixels: imagecodecs.jpeg8_encode(pixels, level=90, bitspersample=12)
    ),
    "JPEG, lossless": _seed(
        JPEGLossless, 12, lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12)
    ),
    "JPEG-LS": _seed(JPEGLSLossless, 12, lambda pixels: imagecodecs.jpegls_encode(pixels, level=0)),
    "JPEG-LS, near": _seed(JPEGLSNearLossless, 8, lambda pixels: imagecodecs.jpegls_encode(pixels, level=2)),
    "JPEG 2000": _seed(JPEG2000Lossless, 12, lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="J2K")),
    "JPEG 2000, lossy": _seed(
        JPEG2000, 8, lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=40, codecformat="J2K", reversible=False)
    ),
    "HTJ2K": _seed(HTJ2KLossless, 12, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
    "HTJ2K, lossy": _seed(HTJ2K, 8, lambda pixels: imagecodecs.htj2k_encode(pixels, 0.01, reversible=False)),
    "RLE": _seed(RLELossless, 12, _rle),
}
