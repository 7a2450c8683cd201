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

from service.artefact import card
from service.errors import InvalidRequest
from service.objects import legend, overlay
from service.objects.colormap import colour_table
from service.objects.overlay import (
    SOFTNESS,
    Options,
    crop_png,
    heat_map_png,
    image_png,
    overlay_png,
    relative,
    scaled,
)
from service.objects.resampling import WHOLE, Content, smoothed

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


def above_the_legend(picture: npt.NDArray[np.int64], view: npt.NDArray[np.uint8] = RAMP) -> npt.NDArray[np.int64]:
    return picture[: view.shape[0]]


def splines(heat: npt.NDArray[np.floating], height: int, width: int, content: Content) -> npt.NDArray[np.float64]:
    """Quadratic B-splines with half-pixel centres and edge values repeated, by scipy."""
    x0, y0, x1, y1 = content
    y = (y0 + (np.arange(height) + 0.5) / height * (y1 - y0)) * heat.shape[0] - 0.5
    x = (x0 + (np.arange(width) + 0.5) / width * (x1 - x0)) * heat.shape[1] - 0.5
    grid = np.meshgrid(y + 3, x + 3, indexing="ij")  # scipy has no `nearest` for splines that is exact at the edge
    return np.asarray(map_coordinates(np.pad(heat.astype(np.float64), 3, "edge"), grid, order=2, prefilter=False))


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
        for heat in (FLAT + 1, None):
            picture = pixels(overlay_png(RAMP, heat, None, Options(alpha=0)))
            assert np.array_equal(above_the_legend(picture), np.repeat(RAMP[..., None], 3, 2))

    @given(heats, st.floats(0, 1), st.sampled_from(["viridis", "inferno", "turbo"]))
    @settings(deadline=None, max_examples=40)
    def test_the_opacity_follows_the_value(
        self, heat: npt.NDArray[np.float32], alpha: float, colormap: overlay.Colormap
    ) -> None:
        picture = above_the_legend(pixels(overlay_png(RAMP, heat, None, Options(alpha, colormap))))
        values = splines(heat, *RAMP.shape, WHOLE)[..., None]
        colours = colour_table(colormap)[np.rint(values[..., 0] * 255).clip(0, 255).astype(int)]
        expected = (1 - alpha * values) * RAMP[..., None] + alpha * values * colours
        assert np.abs(picture - expected).max() <= 7  # a level to either side, and rounding

    def test_a_step_has_no_crease_and_no_edge(self) -> None:
        """Between neighbouring pixels neither the opacity nor its slope jumps."""
        values = smoothed(np.array([[0, 0, 0, 1, 1, 1]], np.float32), (600, 1), WHOLE)[0]
        assert np.abs(np.diff(values)).max() < 0.011
        assert np.abs(np.diff(values, 2)).max() < 0.0002

    def test_a_flat_map_is_clear(self) -> None:
        assert overlay_png(RAMP, FLAT, None, Options(alpha=1)) == overlay_png(RAMP, FLAT, None, Options(alpha=0))

    def test_a_map_of_one_has_the_last_colour(self) -> None:
        picture = pixels(overlay_png(np.zeros((707, 707), np.uint8), FLAT + 1, None, Options(alpha=1)))
        assert picture[353, 353].tolist() == pytest.approx([0xFD, 0xE7, 0x25], abs=3)

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
        assert above_the_legend(pixels(overlay_png(RAMP, FLAT, box))).shape == (300, 400, 3)

    @pytest.mark.parametrize("shape", [(1024, 1024), (2500, 2048), (300, 400), (256, 256)])
    @pytest.mark.parametrize("value", [0, 255])
    def test_the_legend_is_below_the_radiograph_and_covers_nothing(self, shape: tuple[int, int], value: int) -> None:
        view = np.full(shape, value, np.uint8)
        picture = pixels(overlay_png(view, FLAT, None, Options(caption="Map of Pleural_Thickening, 8 x 8 cells")))
        assert (above_the_legend(picture, view) == value).all()
        below = picture[shape[0] :]
        assert 10 <= len(below) <= 0.25 * shape[0]
        assert (below[:, : shape[1] // 4] > 200).any(), "the notice"
        assert (np.ptp(below, axis=2) > 100).any(), "the colours"

    def test_the_notice_is_legible_and_that_of_the_card(self) -> None:
        picture = pixels(overlay_png(np.full((1024, 1024), 255, np.uint8), None, None))[1024:, :, 0]
        letters = np.asarray(legend._mask(card.NOTICE, 20)) / 255
        place = picture[6:26, 6 : 6 + letters.shape[1]]
        assert np.corrcoef(place.ravel(), letters.ravel())[0, 1] > 0.99

    def test_a_narrow_picture_has_all_of_the_legend_in_more_rows(self) -> None:
        wide, narrow = (legend.legend(size, "Map of A", "viridis") for size in ((1000, 500), (256, 500)))
        assert (wide.height, narrow.height) == (3 + 13, 3 + 2 * 13)
        assert (np.ptp(np.asarray(narrow, int), axis=2) > 100).any(), "the colours"

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
        assert picture.shape[0] > expected[0]
        assert picture.shape[1:] == (expected[1], 3)


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


class TestScaled:
    @pytest.mark.parametrize("reference", [2.0, -3.0])
    def test_the_reference_is_a_half_whatever_the_image(self, reference: float) -> None:
        weak, strong = (scaled(np.array([[-20.0, top]]), reference) for top in (reference - 5, reference + 5))
        assert scaled(np.array([[-20.0, reference]]), reference)[0, 1] == pytest.approx(0.5)
        assert strong[0, 1] == pytest.approx(1 - weak[0, 1])
        assert weak[0, 1] == pytest.approx(1 / (1 + np.exp(5 / SOFTNESS)))
        assert weak[0, 0] < 0.001

    def test_without_a_reference_the_maximum_is_a_half(self) -> None:
        assert scaled(np.array([[-40.0, -7.0]]), None)[0].tolist() == pytest.approx([0, 0.5], abs=1e-6)
        assert not scaled(np.full((7, 7), 3.0), None).any()


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
    picture = above_the_legend(pixels(overlay_png(view, heat, None)), view)
    clear = splines(heat, *view.shape, WHOLE) < 0.4 / 255
    grey = np.repeat(view[..., None], 3, 2)
    assert np.array_equal(picture[clear], grey[clear])
    assert (picture != grey).any(axis=2).mean() > 0.03
