from pathlib import Path

import numpy as np
import pytest
import torch

from training import cache
from training.cache import Canvases, cached
from training.chestxray14 import ChestXray14, read
from training.sample import Sample


def test_cached_canvases_are_the_source_s_to_half_a_grey_step(published: Path, tmp_path: Path) -> None:
    source = read(published, "val", 48)
    found = cached(source, tmp_path / "cache")
    canvas, target = found.batch(np.arange(len(source)))
    for index in range(len(source)):
        np.testing.assert_allclose(canvas[index].numpy(), source[index].canvas, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(target[index].numpy(), source[index].case.findings)
    assert canvas.dtype == torch.float32
    assert (found.cases[0].image, found.patients[0], found.collections[0]) == ("00000012_000.png", "12", "B")


def test_a_second_build_reads_no_image(published: Path, tmp_path: Path) -> None:
    source = read(published, "val", 48)
    first = cached(source, tmp_path / "cache").pixels.copy()
    for path in source.paths:
        path.write_bytes(b"x" * path.stat().st_size)  # unreadable, and of the same size
    np.testing.assert_array_equal(cached(source, tmp_path / "cache").pixels, first)


def test_a_run_that_begins_at_the_same_time_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.mapped(tmp_path / "x.npy", (2, 3))
    first[:] = 7
    monkeypatch.setattr(Path, "is_file", lambda _: False)  # the other looked before the first had made it
    second = cache.mapped(tmp_path / "x.npy", (2, 3))
    assert (second == 7).all()
    second[0] = 8
    assert (first[0] == 8).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_an_interrupted_build_goes_on(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 3)
    source = read(published, "val", 48)
    reads: list[int] = []
    get = ChestXray14.__getitem__

    def failing(self: ChestXray14, index: int) -> Sample:
        reads.append(index)
        if len(reads) == 5:
            raise OSError
        return get(self, index)

    monkeypatch.setattr(ChestXray14, "__getitem__", failing)
    with pytest.raises(OSError):  # noqa: PT011 - the disk's own
        cached(source, tmp_path / "cache", workers=1)
    reads[:] = range(10)
    found = cached(source, tmp_path / "cache", workers=1)
    assert sorted(reads[10:]) == [3, 4, 5, 6, 7]
    monkeypatch.undo()
    np.testing.assert_array_equal(found.pixels, cached(source, tmp_path / "other").pixels)


def test_a_subset_shares_pixels_and_keeps_all_in_step(canvases: Canvases) -> None:
    part = canvases.subset(np.array([19, 3])).subset(np.array([1]))
    assert len(part) == 1
    assert (part.cases, part.patients, part.collections) == ((canvases.cases[3],), ("a1",), ("A",))
    assert np.shares_memory(part.pixels, canvases.pixels)
    np.testing.assert_array_equal(part.batch(np.array([0]))[0], canvases.batch(np.array([3]))[0])


def test_reduced_is_the_area_mean(canvases: Canvases) -> None:
    small = canvases.subset(np.array([4, 2])).reduced(16)
    expected = np.array([[canvases.pixels[4, 4 * r : 4 * r + 4, :4].mean() for r in range(16)]])
    np.testing.assert_allclose(small.pixels[0][:, 0][None], expected, atol=0.5)
    assert small.size == 16
    assert canvases.reduced(48) is canvases  # no multiple
    assert canvases.reduced(64) is canvases


def test_first_gives_canvases_as_the_service_has_them(canvases: Canvases) -> None:
    first = canvases.first(2)
    assert len(first) == 2
    assert first[0].shape == (1, 64, 64)
    assert first[0].dtype == np.float32
    assert 0 <= first[0].min() <= first[0].max() <= 1
