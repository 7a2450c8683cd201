import struct

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from service.dicom.decoder import decode
from service.dicom.fragments import encoded_frames
from service.dicom.frames import frames
from service.dicom.reader import Bounds, read
from service.errors import MalformedDicom
from tests.factories import chest, compressed_dataset, encode, noise

BOUNDS = Bounds()


def in_fragments(syntax: str, table: list[int]) -> tuple[Dataset, bytes]:
    """Return a data set with its frame in three fragments, and the frame."""
    dataset = compressed_dataset(chest(noise(64, 64)), syntax)
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    value = encapsulate([frame], fragments_per_frame=3, has_bot=False)
    dataset.PixelData = (
        struct.pack("<HHL", 0xFFFE, 0xE000, 4 * len(table)) + struct.pack(f"<{len(table)}L", *table) + value[8:]
    )
    return dataset, frame


@pytest.mark.parametrize("table", [[], [0], [0, 500], [4096], [0, 2**32 - 1], [7]])
@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless])
def test_one_frame_is_all_fragments_whatever_the_offset_table(syntax: str, table: list[int]) -> None:
    dataset, frame = in_fragments(syntax, table)
    data = encode(dataset, syntax)

    assert [part.rstrip(b"\0") for part in encoded_frames(read(data))] == [frame.rstrip(b"\0")]
    assert np.array_equal(decode(read(data)), noise(64, 64))
    assert frames(data, BOUNDS, [1]).contents == encoded_frames(read(data))


@pytest.mark.parametrize("count", [0, 1, None, ""])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_no_number_of_frames_is_one(syntax: str, count: int | str | None) -> None:
    native = chest(noise(64, 64))
    dataset = native if syntax == ExplicitVRLittleEndian else compressed_dataset(native, syntax)
    dataset.NumberOfFrames = count
    data = encode(dataset, syntax)

    assert np.array_equal(decode(read(data)), noise(64, 64))
    assert len(frames(data, BOUNDS, [1]).contents) == 1


@pytest.mark.parametrize("value", [b"", b"\xfe\xff", b"\xfe\xff\x00\xe0\x00\x00\x00\x00", b"no items at all"])
def test_pixel_data_without_fragments_is_corrupt(value: bytes) -> None:
    dataset = read(encode(compressed_dataset(chest(noise(64, 64)), JPEGLSLossless), JPEGLSLossless))
    dataset.PixelData = value
    with pytest.raises(MalformedDicom) as refusal:
        decode(dataset)
    assert refusal.value.code == "pixel_data_corrupt"
