"""Objects are sent compressed to a receiver that accepts it; the receiver is pynetdicom's own."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)
from pynetdicom import AE, evt

from service.destinations import Destination
from service.sending.store_scu import store
from tests.factories import chest, encode, ramp

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)


def capture() -> Dataset:
    """Return a colour image of 8 bits."""
    dataset = chest(ramp(32, 40, 8), SOPClassUID=SecondaryCaptureImageStorage, PhotometricInterpretation="RGB")
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PixelData = np.repeat(ramp(32, 40, 8), 3).tobytes()
    return dataset


def segmentation(bits: int) -> Dataset:
    """Return two frames of 8 bits or of one."""
    pixels = np.repeat(ramp(4, 8, 8)[None], 2, axis=0)
    dataset = chest(pixels[0], SOPClassUID=SegmentationStorage, NumberOfFrames=2)
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelData = pixels.tobytes() if bits == 8 else np.packbits(pixels.ravel() > 99, bitorder="little").tobytes()
    return dataset


@contextmanager
def receiver(syntaxes: Sequence[str]) -> Iterator[tuple[int, list[Dataset]]]:
    """Run a C-STORE SCP that accepts transfer syntaxes; yields its port and what it received."""
    received: list[Dataset] = []

    def keep(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        received.append(dataset)
        return 0

    ae = AE("PACS")
    for sop_class in (SecondaryCaptureImageStorage, SegmentationStorage):
        ae.add_supported_context(sop_class, list(syntaxes))
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, keep)])
    assert server is not None
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()


@pytest.mark.parametrize(
    ("dataset", "accepted", "sent"),
    [
        (capture(), (*UNCOMPRESSED, JPEGLSLossless, RLELossless), JPEGLSLossless),
        (capture(), (*UNCOMPRESSED, RLELossless), RLELossless),
        (capture(), UNCOMPRESSED, ExplicitVRLittleEndian),
        (capture(), (ImplicitVRLittleEndian,), ImplicitVRLittleEndian),
        (segmentation(8), (*UNCOMPRESSED, JPEGLSLossless, RLELossless), RLELossless),
        (segmentation(8), UNCOMPRESSED, ExplicitVRLittleEndian),
        (segmentation(1), (*UNCOMPRESSED, JPEGLSLossless, RLELossless), ExplicitVRLittleEndian),
    ],
)
def test_an_object_is_sent_in_the_best_syntax_that_is_accepted(
    dataset: Dataset, accepted: Sequence[str], sent: str
) -> None:
    data = encode(dataset)

    with receiver(accepted) as (port, received):
        store(Destination(name="pacs", host="127.0.0.1", port=port, ae_title="PACS"), data)

    [stored] = received
    assert stored.file_meta.TransferSyntaxUID == sent
    np.testing.assert_array_equal(stored.pixel_array, dcmread(BytesIO(data)).pixel_array)
    assert stored.SOPInstanceUID == dataset.SOPInstanceUID
