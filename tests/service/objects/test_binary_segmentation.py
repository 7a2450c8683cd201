from io import BytesIO
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from service.objects.overlay import relative
from service.objects.resampling import WHOLE, upsampled
from tests.service.objects.rendered import FAULTY, HEIGHT, WIDTH, errors, parsed, record, rendered, source

SIZE = (WIDTH, HEIGHT)


def peaks(*places: tuple[int, int]) -> np.ndarray:
    """A map of 7 x 7 that is 1 at some nodes."""
    heat = np.zeros((7, 7), np.float32)
    for place in places:
        heat[place] = 1.0
    return heat


@pytest.fixture(scope="module")
def image() -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(rendered("binary_segmentation")))


def test_it_is_binary_over_the_radiographs_own_grid(image: hd.seg.Segmentation) -> None:
    assert (image.Rows, image.Columns) == (HEIGHT, WIDTH)
    assert (image.SegmentationType, image.BitsAllocated, image.BitsStored, image.HighBit) == ("BINARY", 1, 1, 0)
    assert "MaximumFractionalValue" not in image
    assert len(image.PixelData) == 2 * -(-3 * HEIGHT * WIDTH // 16)  # a bit a pixel, and an even number of bytes


def test_no_label_claims_an_outline_of_disease(image: hd.seg.Segmentation) -> None:
    labels = [item.SegmentLabel for item in image.SegmentSequence]

    assert labels == ["Attention", "Attention: Effusion", "Attention: Pneumothorax"]
    assert image.ContentDescription == "Attention of the network, not an outline of disease"
    assert len({tuple(item.RecommendedDisplayCIELabValue) for item in image.SegmentSequence}) == 3


def test_the_first_segment_is_the_component_that_the_box_encloses() -> None:
    heat = peaks((1, 1), (5, 4), (5, 5))  # the larger component is not in the box
    box = (37, 42, 75, 86)

    first = parsed(rendered("binary_segmentation", made_from=record(heat_map=heat, box=box))).pixel_array[0]

    above = upsampled(heat, SIZE, WHOLE) >= 0.7
    above[:, 100:] = False
    np.testing.assert_array_equal(first, above)
    assert first.any()


@pytest.mark.parametrize(("segment", "finding"), [(1, 2), (2, 7)])
def test_a_findings_segment_is_the_upper_half_of_its_map(
    image: hd.seg.Segmentation, segment: int, finding: int
) -> None:
    expected = upsampled(relative(record().class_maps[finding]), SIZE, WHOLE) >= 0.5

    np.testing.assert_array_equal(image.pixel_array[segment], expected)


def test_highdicom_reads_the_segments_of_the_radiograph(image: hd.seg.Segmentation) -> None:
    pixels = image.get_pixels_by_source_instance(["2.25.1003"])

    assert pixels.shape == (1, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(np.moveaxis(pixels[0], -1, 0), image.pixel_array)


@pytest.mark.parametrize(("maps", "overlap"), [(((0, 0), (6, 6), (3, 3)), "NO"), (((0, 0), (0, 0), (3, 3)), "YES")])
def test_it_says_whether_segments_overlap(maps: tuple[tuple[int, int], ...], overlap: str) -> None:
    class_maps = np.zeros((14, 7, 7), np.float32)
    class_maps[2], class_maps[7] = peaks(maps[1]), peaks(maps[2])

    dataset = parsed(rendered("binary_segmentation", made_from=record(heat_map=peaks(maps[0]), class_maps=class_maps)))

    assert dataset.SegmentsOverlap == overlap


def test_flat_maps_are_empty_segments_not_missing_ones() -> None:
    flat = record(heat_map=np.zeros((7, 7), np.float32), class_maps=np.ones((14, 7, 7), np.float32))

    dataset = parsed(rendered("binary_segmentation", made_from=flat))

    assert dataset.NumberOfFrames == 3
    assert not dataset.pixel_array.any()


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"PixelSpacing": [0.2, 0.3], "ImagerPixelSpacing": [0.25, 0.35]}, [0.2, 0.3]),
        ({"PixelSpacing": None, "ImagerPixelSpacing": [0.25, 0.35]}, [0.25, 0.35]),
        ({"PixelSpacing": None, "ImagerPixelSpacing": None}, None),
        ({"PixelSpacing": [0.2], "ImagerPixelSpacing": None}, None),
    ],
)
@pytest.mark.parametrize("kind", ["segmentation", "binary_segmentation"])
def test_pixel_measures_are_there_with_the_spacing_if_any(
    kind: str, elements: dict[str, list[float] | None], expected: list[float] | None, tmp_path: Path
) -> None:
    data = rendered(kind, source(**elements))

    (shared,) = parsed(data).SharedFunctionalGroupsSequence
    (measures,) = shared.PixelMeasuresSequence  # OHIF reads it, even if nothing is in it
    assert measures.get("PixelSpacing") == expected
    assert hd.imread(BytesIO(data)).get_frame(1).shape == (HEIGHT, WIDTH)
    assert errors(data, tmp_path) == set()


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        (None, [1, 0, 0, 0, 1, 0]),  # OHIF's default for a radiograph without cosines
        ([1, 0, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1]),
        ([1, 0, 0], [1, 0, 0, 0, 1, 0]),
    ],
)
def test_the_plane_is_the_radiographs(stated: list[float] | None, expected: list[float]) -> None:
    dataset = parsed(rendered("binary_segmentation", source(ImageOrientationPatient=stated)))

    (plane,) = dataset.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    assert plane.ImageOrientationPatient == expected
    assert "FrameOfReferenceUID" not in dataset


@pytest.mark.parametrize("fault", ["CR", "class unknown", "oblong pixels", "lossy", "Japanese"])
def test_it_is_made_of_any_radiograph(fault: str) -> None:
    dataset = parsed(rendered("binary_segmentation", FAULTY[fault]))

    assert dataset.pixel_array.shape == (3, HEIGHT, WIDTH)


def test_the_creator_is_named() -> None:
    for kind in ("segmentation", "binary_segmentation", "presentation_state"):
        assert parsed(rendered(kind)).ContentCreatorName == "AG-CNN triage"
