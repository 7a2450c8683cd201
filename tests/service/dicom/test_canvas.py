from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from service.dicom.canvas import canvas, content, grey_values, to_image
from service.errors import UnsupportedEncoding
from tests.factories import noise, ramp

unit = st.floats(0, 1)


def floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max


def test_halving_averages_with_a_triangle_and_keeps_the_mean():
    values = np.zeros((64, 64), np.float32)
    values[32, 32] = 1
    small = canvas(values, 32)
    assert small.shape == (1, 32, 32)
    assert small.dtype == np.float32
    assert small.sum() == pytest.approx(0.25, abs=1e-6)  # 64^2 / 32^2 = 4 pixels become one
    assert (small > 0).sum() > 1  # antialiased: one source pixel reaches several


def test_same_size_is_the_same_picture():
    values = floats(noise(48, 48, 8))
    assert np.array_equal(canvas(values, 48)[0], values)


def test_eight_and_twelve_bits_give_equal_canvases():
    eight = noise(300, 260, 8)
    twelve = np.rint(eight / 255 * 4095)
    pair = [canvas((pixels / top).astype(np.float32), 224) for pixels, top in ((eight, 255), (twelve, 4095))]
    assert np.abs(pair[0] - pair[1]).max() < 1 / 255


@pytest.mark.parametrize(
    ("height", "width", "aspect", "box"),
    [
        (100, 200, 1.0, (0, 0.25, 1, 0.75)),
        (200, 100, 1.0, (0.25, 0, 0.75, 1)),
        (100, 200, 2.0, (0, 0, 1, 1)),
        (100, 100, 0.5, (0, 0.25, 1, 0.75)),
    ],
)
def test_pad_keeps_proportions_centred(height, width, aspect, box):
    assert content(height, width, "pad", aspect) == pytest.approx(box)
    padded = canvas(np.ones((height, width), np.float32), 64, "pad", aspect)
    x0, y0, x1, y1 = (round(64 * edge) for edge in box)
    assert padded[0, y0:y1, x0:x1].min() == pytest.approx(
        1, abs=1e-6
    )  # the weights of a mean add up to 1 but for rounding
    assert padded.sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=1e-6)


def test_a_padded_sliver_is_still_visible():
    assert canvas(np.ones((1, 5000), np.float32), 32, "pad").max() == 1


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(["stretch", "pad"]), st.floats(0.1, 10))
def test_canvas_stays_in_range(height, width, rule, aspect):
    square = canvas(floats(noise(height, width, 8)), 24, rule, aspect)
    assert square.shape == (1, 24, 24)
    assert square.min() >= 0
    assert square.max() <= 1


@pytest.mark.parametrize(
    ("box", "rule", "pixels"),
    [
        ((0, 0, 1, 1), "stretch", (0, 0, 200, 100)),
        ((0.25, 0.5, 0.5, 1), "stretch", (50, 50, 100, 100)),
        ((0.303, 0, 0.6085, 1), "stretch", (61, 0, 122, 100)),  # 60.6 and 121.7, to the nearest pixel
        ((0, 0, 1, 1), "pad", (0, 0, 200, 100)),
        ((0.25, 0.25, 0.5, 0.5), "pad", (50, 0, 100, 50)),
        ((0.3, 0, 0.6, 0.1), "pad", (60, 0, 120, 1)),  # in the padding alone: one row remains
    ],
)
def test_to_image_in_cases_worked_out_by_hand(box, rule, pixels):
    assert to_image(box, 100, 200, rule) == pixels


@given(unit, unit, unit, unit, st.integers(1, 3000), st.integers(1, 3000), st.sampled_from(["stretch", "pad"]))
def test_a_box_on_the_image_is_inside_it_and_never_empty(a, b, c, d, height, width, rule):
    x0, y0, x1, y1 = to_image((min(a, c), min(b, d), max(a, c), max(b, d)), height, width, rule)
    assert 0 <= x0 < x1 <= width
    assert 0 <= y0 < y1 <= height


def test_to_image_undoes_content():
    assert to_image(content(300, 500, "pad", 1.5), 300, 500, "pad", 1.5) == (0, 0, 500, 300)


def saved(folder: Path, image: Image.Image, name: str = "image.png") -> Path:
    image.save(folder / name)
    return folder / name


def test_grey_values_of_eight_and_sixteen_bits(tmp_path):
    eight, sixteen = ramp(20, 30, 8), ramp(20, 30, 16)
    assert np.array_equal(grey_values(saved(tmp_path, Image.fromarray(eight))), eight / np.float32(255))
    assert np.array_equal(grey_values(saved(tmp_path, Image.fromarray(sixteen))), sixteen / np.float32(65535))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_greyscale_stored_as_colour_is_read_as_greyscale(tmp_path, mode):
    grey = ramp(20, 30, 8)
    values = grey_values(saved(tmp_path, Image.fromarray(grey).convert(mode)))
    assert np.array_equal(values, grey / np.float32(255))
    assert values.dtype == np.float32


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_colour_is_refused(tmp_path, mode):
    path = saved(tmp_path, Image.new("RGB", (8, 8), (250, 10, 10)).convert(mode), "image.tif")
    with pytest.raises(UnsupportedEncoding) as refusal:
        grey_values(path)
    assert refusal.value.code == ("colour_image" if mode == "RGB" else "image_unreadable")


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UnsupportedEncoding) as refusal:
        grey_values(tmp_path / "image.png")
    assert refusal.value.code == "image_unreadable"


@settings(deadline=None, max_examples=30)
@given(st.integers(16, 90), st.integers(16, 90), st.sampled_from([7, 16, 64]))
def test_the_canvas_is_what_pillow_makes_in_one_step(height, width, size):
    values = noise(height, width).astype(np.float32) / 4095
    expected = Image.fromarray(values).resize((size, size), Image.Resampling.BILINEAR)
    assert np.abs(canvas(values, size)[0] - np.asarray(expected)).max() < 1e-6
