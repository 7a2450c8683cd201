"""Write the code streams that inputs are made from: a phantom of 256 x 256 pixels by each encoder.

    .venv/bin/python -m tests.hostile.make_seeds

The streams are part of the repository, so that another version of an encoder changes no input.
"""

from pathlib import Path

import imagecodecs
import numpy as np
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from tests.conftest import ROOT
from tests.factories import chest, compressed_dataset

FOLDER = Path(__file__).with_name("seeds")
SIZE = 256


def phantom(bits: int) -> np.ndarray:
    """Return a sample, averaged to `SIZE` pixels with black around it, [SIZE, SIZE] of `bits`."""
    pixels = dcmread(ROOT / "samples" / "normal.dcm").pixel_array.astype(np.float64)
    step = -(-max(pixels.shape) // SIZE)
    rows, columns = (length // step for length in pixels.shape)
    means = pixels[: rows * step, : columns * step].reshape(rows, step, columns, step).mean((1, 3))
    grey = (means - means.min()) / (means.max() - means.min())
    whole = np.zeros((SIZE, SIZE))
    whole[:rows, :columns] = grey
    # Few grey levels, so that the streams are small
    return (np.rint(whole * 48) * ((2**bits - 1) // 48)).astype(np.uint8 if bits <= 8 else np.uint16)


def main() -> None:
    """Write each stream to `seeds/NAME.bin`."""
    eight, twelve = phantom(8), phantom(12)
    streams = {
        "jpeg_baseline_8": imagecodecs.jpeg8_encode(eight, level=60),
        "jpeg_extended_12": imagecodecs.jpeg8_encode(twelve, level=60, bitspersample=12),
        "jpeg_lossless_12": imagecodecs.jpeg8_encode(twelve, lossless=True, bitspersample=12),
        "jpeg_ls_12": imagecodecs.jpegls_encode(twelve),
        "jpeg_ls_near_8": imagecodecs.jpegls_encode(eight, level=3),
        "jpeg2000_lossless_12": imagecodecs.jpeg2k_encode(twelve, reversible=True, codecformat="j2k", bitspersample=12),
        "jpeg2000_8": imagecodecs.jpeg2k_encode(eight, level=35, codecformat="j2k"),
        "htj2k_lossless_12": imagecodecs.htj2k_encode(twelve, reversible=True, tlm=True),
        "htj2k_8": imagecodecs.htj2k_encode(eight, 0.02, reversible=False),
        "rle_8": get_frame(compressed_dataset(chest(eight), RLELossless).PixelData, 0, number_of_frames=1),
        "rle_12": get_frame(compressed_dataset(chest(twelve), RLELossless).PixelData, 0, number_of_frames=1),
    }
    for name, stream in streams.items():
        (FOLDER / f"{name}.bin").write_bytes(stream)


if __name__ == "__main__":
    main()
