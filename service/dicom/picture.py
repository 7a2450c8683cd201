"""An image rendered as an 8-bit JPEG or PNG, PS3.18 8.3.5."""

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

from service.dicom.decoder import decode
from service.dicom.elements import integer
from service.dicom.pixels import display
from service.dicom.reader import Bounds, read
from service.dicom.window import Window


@dataclass(frozen=True)
class Look:
    """How an image is rendered.

    Attributes
    ----------
    window
        Window that replaces the VOI transformation of a greyscale image; None keeps the image's own.
    viewport
        (width, height) in pixels into which the picture is fitted with its proportions; None is the image's own size.
    quality
        JPEG quality, 1 to 100.
    """

    form: Literal["JPEG", "PNG"] = "JPEG"
    window: Window | None = None
    viewport: tuple[int, int] | None = None
    quality: int = 90


def picture(data: bytes, bounds: Bounds, look: Look) -> bytes:
    """Render the first frame of a file.

    Raises
    ------
    MalformedDicom, TooLarge, UnsupportedEncoding
    """
    image = _image(data, bounds, look.window)
    if look.viewport is not None:
        scale = min(look.viewport[0] / image.width, look.viewport[1] / image.height)
        size = max(round(image.width * scale), 1), max(round(image.height * scale), 1)
        image = image.resize(size, Image.Resampling.BILINEAR)
    stream = BytesIO()
    if look.form == "JPEG":
        image.save(stream, "JPEG", quality=look.quality)
    else:
        image.save(stream, "PNG")
    return stream.getvalue()


def _image(data: bytes, bounds: Bounds, window: Window | None) -> Image.Image:
    dataset = read(data, bounds)
    if integer(dataset, "SamplesPerPixel", 1) == 3:  # a secondary capture made by this service
        return Image.fromarray(np.asarray(dataset.pixel_array, np.uint8))
    return Image.fromarray(np.rint(display(decode(dataset), dataset, window).values * 255).astype(np.uint8))
