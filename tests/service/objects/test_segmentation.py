from io import BytesIO

import highdicom as hd
import numpy as np
import pytest

from tests.service.objects.rendered import FAULTY, HEIGHT, WIDTH, parsed, record, rendered


def by_hand(heat: np.ndarray, content: tuple[float, float, float, float], places: list[tuple[int, int]]) -> list[float]:
    """Values of a map at pixels of the radiograph: linear between the centres of cells, constant beyond."""
    rows, columns = heat.shape
    x0, y0, x1, y1 = content
    values = []
    for y, x in places:
        across = (x0 + (x + 0.5) / WIDTH * (x1 - x0)) * columns - 0.5
        down = (y0 + (y + 0.5) / HEIGHT * (y1 - y0)) * rows - 0.5
        left, top = int(np.floor(across)), int(np.floor(down))
        total = 0.0
        for row in (top, top + 1):
            for column in (left, left + 1):
                weight = (1 - abs(down - row)) * (1 - abs(across - column))
                total += weight * heat[min(max(row, 0), rows - 1), min(max(column, 0), columns - 1)]
        values.append(total)
    return values


PLACES = [(0, 0), (0, WIDTH - 1), (HEIGHT - 1, 0), (HEIGHT - 1, WIDTH - 1), (150, 130), (151, 130), (37, 201), (222, 3)]


@pytest.fixture(scope="module")
def image() -> hd.seg.Segmentation:
    return hd.seg.segread(BytesIO(rendered("segmentation")))


def test_it_is_fractional_over_the_radiographs_own_grid(image: hd.seg.Segmentation) -> None:
    assert (image.Rows, image.Columns) == (HEIGHT, WIDTH)
    assert (image.SegmentationType, image.MaximumFractionalValue, image.BitsAllocated) == ("FRACTIONAL", 255, 8)
    assert image.PatientOrientation == ["L", "F"]
    assert image.pixel_array.shape == (3, HEIGHT, WIDTH)


def test_segments_are_the_heat_map_and_positive_findings_alone(image: hd.seg.Segmentation) -> None:
    assert [item.SegmentLabel for item in image.SegmentSequence] == [
        "Attention",
        "Attention: Effusion",
        "Attention: Pneumothorax",
    ]
    assert {item.SegmentAlgorithmType for item in image.SegmentSequence} == {"AUTOMATIC"}
    types = [item.SegmentedPropertyTypeCodeSequence[0] for item in image.SegmentSequence]
    assert {item.CodeMeaning for item in types} == {"Class activation"}
    modifiers = [item.get("SegmentedPropertyTypeModifierCodeSequence") for item in types]
    assert [one and one[0].CodeValue for one in modifiers] == [None, "60046008", "36118008"]


def test_values_are_the_heat_map_at_each_pixel(image: hd.seg.Segmentation) -> None:
    expected = by_hand(record().heat_map, (0, 0, 1, 1), PLACES)

    got = [image.pixel_array[0, y, x] / 255 for y, x in PLACES]
    assert got == pytest.approx(expected, abs=0.5 / 255 + 1e-6)  # rounded to the nearest of 256 levels


@pytest.mark.parametrize(("segment", "finding"), [(1, 2), (2, 7)])
def test_a_findings_map_spans_its_own_range(image: hd.seg.Segmentation, segment: int, finding: int) -> None:
    class_map = record().class_maps[finding]
    expected = by_hand((class_map - class_map.min()) / (class_map.max() - class_map.min()), (0, 0, 1, 1), PLACES)

    got = [image.pixel_array[segment, y, x] / 255 for y, x in PLACES]
    assert record().prediction.findings[finding].label in image.SegmentSequence[segment].SegmentLabel
    assert got == pytest.approx(expected, abs=0.5 / 255 + 1e-6)


def test_only_the_part_of_a_padded_canvas_that_the_radiograph_covers_is_shown() -> None:
    content = (0.1, 0.0, 0.9, 1.0)

    pixels = parsed(rendered("segmentation", made_from=record(content=content))).pixel_array

    got = [pixels[0, y, x] / 255 for y, x in PLACES if 20 < x < WIDTH - 20]  # at the edge the map beyond has no effect
    expected = by_hand(record().heat_map, content, [place for place in PLACES if 20 < place[1] < WIDTH - 20])
    assert got == pytest.approx(expected, abs=0.5 / 255 + 1e-6)


def test_without_a_positive_finding_there_is_the_heat_map_alone() -> None:
    dataset = parsed(rendered("segmentation", made_from=record(findings=record().prediction.findings[:1])))

    assert [item.SegmentLabel for item in dataset.SegmentSequence] == ["Attention"]


def test_a_flat_map_is_an_empty_segment_not_a_missing_one() -> None:
    dataset = parsed(rendered("segmentation", made_from=record(heat_map=np.zeros((7, 7), np.float32))))

    assert dataset.NumberOfFrames == 3
    assert not dataset.pixel_array[0].any()


def test_it_refers_to_the_radiograph(image: hd.seg.Segmentation) -> None:
    assert [str(uid) for *_, uid in image.get_source_image_uids()] == ["2.25.1003"]


def test_pixels_that_are_not_square_change_nothing() -> None:
    assert parsed(rendered("segmentation", FAULTY["oblong pixels"])).pixel_array.shape == (3, HEIGHT, WIDTH)
