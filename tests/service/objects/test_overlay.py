import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from scipy.ndimage import map_coordinates

from service.errors import InvalidRequest
from service.objects import overlay
from service.objects.colormap import colour_table
from service.objects.overlay import (
    BACKGROUND,
    NOTICE,
    WHOLE,
    Content,
    Options,
    crop_png,
    heat_map_png,
    image_png,
    overlay_png,
    relative,
)

RAMP = np.add.outer(np.arange(300), np.arange(400)).astype(np.uint8)  # [300, 400]
FLAT = np.zeros((7, 7), np.float32)


def pixels(png: bytes) -> npt.NDArray[np.int64]:
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image).astype(np.int64)


def surface(heat: npt.NDArray[np.floating], height: int, width: int, content: Content) -> npt.NDArray[np.float64]:
    """Bilinear with half-pixel centres and edge values repeated, by scipy."""
    x0, y0, x1, y1 = content
    y = (y0 + (np.arange(height) + 0.5) / height * (y1 - y0)) * heat.shape[0] - 0.5
    x = (x0 + (np.arange(width) + 0.5) / width * (x1 - x0)) * heat.shape[1] - 0.5
    grid = np.meshgrid(y, x, indexing="ij")
    return np.asarray(map_coordinates(heat.astype(np.float64), grid, order=1, mode="nearest"))


def above_the_legend(picture: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return picture[: -picture.shape[0] // 14]


heats = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.floats(0, 1, width=32))


class TestHeatMap:
    @given(heats, st.sampled_from([WHOLE, (0.125, 0.0, 0.875, 1.0), (0.0, 0.3, 1.0, 0.7)]))
    @settings(deadline=None)
    def test_is_the_bilinear_surface_the_region_is_found_on(
        self, heat: npt.NDArray[np.float32], content: Content
    ) -> None:
        view = np.zeros((45, 61), np.uint8)
        expected = surface(heat, 45, 61, content)
        assert np.abs(pixels(heat_map_png(heat, view, content=content)) / 65535 - expected).max() < 2e-5

    def test_is_16_bit_greyscale_at_the_requested_width(self) -> None:
        with Image.open(io.BytesIO(heat_map_png(FLAT + 1, RAMP, 200))) as image:
            assert (image.mode, image.size) == ("I;16", (200, 150))
            assert image.getextrema() == (65535, 65535)


class TestOverlay:
    def test_without_opacity_and_box_is_the_radiograph(self) -> None:
        picture = pixels(overlay_png(RAMP, FLAT + 1, None, Options(alpha=0)))
        assert np.array_equal(above_the_legend(picture), above_the_legend(np.repeat(RAMP[..., None], 3, 2)))

    @given(heats, st.floats(0, 1), st.sampled_from(["viridis", "inferno", "turbo"]))
    @settings(deadline=None, max_examples=40)
    def test_one_opacity_over_the_map_and_a_clear_background(
        self, heat: npt.NDArray[np.float32], alpha: float, colormap: overlay.Colormap
    ) -> None:
        picture = above_the_legend(pixels(overlay_png(RAMP, heat, None, Options(alpha, colormap))))
        values = above_the_legend(surface(heat, *RAMP.shape, WHOLE))
        grey = above_the_legend(np.repeat(RAMP[..., None], 3, 2)).astype(np.float64)
        level = np.rint((values - BACKGROUND) / (1 - BACKGROUND) * 255).clip(0, 255).astype(int)
        blend = (1 - alpha) * grey + alpha * colour_table(colormap)[level]
        drawn, edge = values > BACKGROUND, np.abs(values - BACKGROUND) < 1e-5
        expected = np.where(drawn[..., None], blend, grey)
        assert np.abs(picture - expected)[~edge].max(initial=0) <= 7  # a level to either side, and rounding

    def test_a_flat_map_is_clear(self) -> None:
        assert overlay_png(RAMP, FLAT, None, Options(alpha=1)) == overlay_png(RAMP, FLAT, None, Options(alpha=0))

    def test_the_peak_has_the_last_colour(self) -> None:
        heat = FLAT.copy()
        heat[3, 3] = 1
        picture = pixels(overlay_png(np.zeros((707, 707), np.uint8), heat, None, Options(alpha=1)))
        assert picture[353, 353].tolist() == pytest.approx([0xFD, 0xE7, 0x25], abs=3)
        assert picture[100, 100].tolist() == [0, 0, 0]

    @pytest.mark.parametrize("width", [None, 800, 250])
    def test_the_box_is_drawn_on_its_own_edge_pixels(self, width: int | None) -> None:
        view = np.full((600, 500), 90, np.uint8)
        options = Options(width=width)
        with_box, without = (pixels(overlay_png(view, FLAT, box, options)) for box in ((100, 50, 300, 400), None))
        rows, columns = np.nonzero((with_box != without).any(axis=2))
        scale = (width or 500) / 500
        extent = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert extent == [round(edge * scale) for edge in (100, 50, 300, 400)]
        inside = with_box[round(60 * scale) : round(390 * scale), round(110 * scale) : round(290 * scale)]
        assert (inside == 90).all()
        middle = with_box[round(200 * scale)]
        assert (middle[round(100 * scale) : round(108 * scale)] == 255).all(axis=1).sum() in (2, 3)

    @pytest.mark.parametrize("box", [(0, 0, 400, 300), (0, 0, 1, 1), (399, 299, 400, 300), (10, 10, 13, 12)])
    def test_any_box_within_the_view(self, box: overlay.Box) -> None:
        assert pixels(overlay_png(RAMP, FLAT, box)).shape == (300, 400, 3)

    @pytest.mark.parametrize("shape", [(1024, 1024), (2500, 2048), (300, 400), (256, 256)])
    @pytest.mark.parametrize("value", [0, 255])
    def test_the_notice_and_the_bar_stay_in_the_lower_corners(self, shape: tuple[int, int], value: int) -> None:
        view = np.full(shape, value, np.uint8)
        picture = pixels(overlay_png(view, FLAT, None, Options(caption="Pleural_Thickening")))
        changed = (picture != value).any(axis=2)
        assert not changed[: -shape[0] // 14].any()
        assert changed[:, : shape[1] // 4].any(), "the notice"
        assert changed[:, -shape[1] // 8 :].any(), "the bar"

    def test_the_notice_is_legible(self) -> None:
        picture = pixels(overlay_png(np.full((1024, 1024), 255, np.uint8), FLAT, None))[..., 0]
        letters = np.asarray(overlay._text(NOTICE, 20)) / 255
        place = picture[1024 - 6 - 20 : 1024 - 6, 6 : 6 + letters.shape[1]]
        assert np.corrcoef(place.ravel(), letters.ravel())[0, 1] > 0.99

    def test_a_narrow_picture_has_the_notice_and_no_caption(self) -> None:
        short, long = (overlay_png(RAMP, FLAT, None, Options(width=256, caption=text)) for text in ("A", "B" * 40))
        assert short == long

    @given(
        st.tuples(st.integers(1, 90), st.integers(1, 90)),
        heats,
        st.none() | st.integers(1, 200),
        st.floats(0, 1),
    )
    @settings(deadline=None, max_examples=60)
    def test_any_sizes_can_be_combined(
        self, shape: tuple[int, int], heat: npt.NDArray[np.float32], width: int | None, alpha: float
    ) -> None:
        view = np.zeros(shape, np.uint8)
        picture = pixels(overlay_png(view, heat, (0, 0, shape[1], shape[0]), Options(alpha=alpha, width=width)))
        expected = shape if width is None else (max(1, round(shape[0] * width / shape[1])), width)
        assert picture.shape == (*expected, 3)


class TestOptions:
    @pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
    def test_an_opacity_out_of_range_is_refused(self, alpha: float) -> None:
        with pytest.raises(InvalidRequest, match="alpha"):
            Options(alpha=alpha)

    def test_an_unknown_colormap_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match="viridis, inferno, turbo"):
            Options(colormap="jet")  # type: ignore[arg-type]

    @pytest.mark.parametrize("width", [0, -1, 10**6])
    def test_an_impossible_width_is_refused(self, width: int) -> None:
        for draw in (
            lambda: overlay_png(RAMP, FLAT, None, Options(width=width)),
            lambda: image_png(RAMP, width),
            lambda: heat_map_png(FLAT, RAMP, width),
            lambda: crop_png(RAMP, (0, 0, 9, 9), width),
        ):
            with pytest.raises(InvalidRequest, match="width"):
                draw()

    def test_a_tall_view_cannot_be_enlarged_without_bound(self) -> None:
        with pytest.raises(InvalidRequest):
            image_png(np.zeros((100_000, 1), np.uint8), 1000)


class TestColours:
    @pytest.mark.parametrize("colormap", ["viridis", "inferno"])
    def test_colormaps_for_the_colour_blind_rise_in_lightness(self, colormap: overlay.Colormap) -> None:
        linear = (colour_table(colormap) / 255) ** 2.2
        luminance = linear @ [0.2126, 0.7152, 0.0722]  # ITU-R BT.709
        assert (np.diff(luminance) > -1e-3).all()
        assert luminance[-1] - luminance[0] > 0.7

    @pytest.mark.parametrize("colormap", ["viridis", "inferno", "turbo"])
    def test_colormaps_have_256_levels_without_a_jump(self, colormap: overlay.Colormap) -> None:
        table = colour_table(colormap).astype(int)
        assert table.shape == (256, 3)
        assert np.abs(np.diff(table, axis=0)).max() <= 10


class TestRelative:
    def test_spans_the_map(self) -> None:
        assert relative(np.array([[-4.0, -2.0], [0.0, 4.0]])).tolist() == [[0, 0.25], [0.5, 1]]

    @pytest.mark.parametrize("value", [-3.5, 0.0, 7.0])
    def test_a_flat_map_is_zero(self, value: float) -> None:
        assert not relative(np.full((7, 7), value, np.float32)).any()

    @given(arrays(np.float32, (5, 4), elements=st.floats(-1000, 1000, width=32)))
    def test_stays_in_range_and_order(self, values: npt.NDArray[np.float32]) -> None:
        scaled = relative(values)
        assert scaled.dtype == np.float32
        assert (scaled >= 0).all()
        assert (scaled <= 1).all()
        assert (np.diff(scaled.ravel()[np.argsort(values, axis=None, kind="stable")]) >= 0).all()


class TestParts:
    def test_the_image_is_the_view(self) -> None:
        assert np.array_equal(pixels(image_png(RAMP)), RAMP)
        assert pixels(image_png(RAMP, 100)).shape == (75, 100)

    def test_the_crop_is_cut_from_the_view(self) -> None:
        assert np.array_equal(pixels(crop_png(RAMP, (10, 20, 110, 70))), RAMP[20:70, 10:110])
        assert pixels(crop_png(RAMP, (10, 20, 110, 70), 50)).shape == (25, 50)

    def test_a_reduced_image_is_antialiased(self) -> None:
        stripes = np.tile(np.array([0, 255], np.uint8), (64, 128))  # [64, 256]
        assert np.abs(pixels(image_png(stripes, 32)) - 127.5).max() < 20

    def test_a_view_that_is_a_slice(self) -> None:
        assert np.array_equal(pixels(image_png(RAMP[::2, ::2])), RAMP[::2, ::2])


@pytest.mark.realdata
def test_a_real_radiograph_is_unchanged_where_nothing_is_drawn(realdata: Path) -> None:
    with Image.open(sorted((realdata / "nih-subset" / "images").iterdir())[0]) as image:
        view = np.asarray(image.convert("L"))
    heat = FLAT.copy()
    heat[2, 4] = 1
    picture = above_the_legend(pixels(overlay_png(view, heat, None)))
    clear = above_the_legend(surface(heat, *view.shape, WHOLE)) < BACKGROUND - 1e-4
    grey = above_the_legend(np.repeat(view[..., None], 3, 2))
    assert np.array_equal(picture[clear], grey[clear])
    assert (picture[~clear] != grey[~clear]).any(axis=1).mean() > 0.99
