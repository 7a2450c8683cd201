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

Encoder = Callable[[np.ndarray], bytes]


def picture(bits: int, shape: tuple[int, int]) -> np.ndarray:
    """A wave with noise, so that no part of a stream is empty."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
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


def _rle(pixels: np.ndarray) -> bytes:
    return get_frame(compressed_dataset(chest(pixels), RLELossless).PixelData, 0, number_of_frames=1)


def _jpeg(bits: int, **options: object) -> Encoder:
    return lambda pixels: imagecodecs.jpeg8_encode(pixels, bitspersample=bits, **options)


_ENCODERS: dict[str, tuple[str, int, Encoder]] = {
    "JPEG, 8 bits": (JPEGBaseline8Bit, 8, _jpeg(8, level=90)),
    "JPEG, 12 bits": (JPEGExtended12Bit, 12, _jpeg(12, level=90)),
    "JPEG, lossless": (JPEGLossless, 12, _jpeg(12, lossless=True)),
    "JPEG-LS": (JPEGLSLossless, 12, lambda pixels: imagecodecs.jpegls_encode(pixels, level=0)),
    "JPEG-LS, near": (JPEGLSNearLossless, 8, lambda pixels: imagecodecs.jpegls_encode(pixels, level=2)),
    "JPEG 2000": (JPEG2000Lossless, 12, lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="J2K")),
    "JPEG 2000, lossy": (
        *(JPEG2000, 8),
        lambda pixels: imagecodecs.jpeg2k_encode(pixels, level=40, codecformat="J2K", reversible=False),
    ),
    "HTJ2K": (HTJ2KLossless, 12, lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True)),
    "HTJ2K, lossy": (HTJ2K, 8, lambda pixels: imagecodecs.htj2k_encode(pixels, 0.01, reversible=False)),
    "RLE": (RLELossless, 12, _rle),
}


def seeds(rows: int, columns: int) -> dict[str, Seed]:
    """Return a stream of every codec, of an image of this size."""
    return {
        name: Seed(str(syntax), pixels := picture(bits, (rows, columns)), bytes(encode(pixels)))
        for name, (syntax, bits, encode) in _ENCODERS.items()
    }


SEEDS = seeds(40, 56)
