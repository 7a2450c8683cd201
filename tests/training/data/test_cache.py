import os
import pickle
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from training.data import cache
from training.data.cache import Canvases, cache_canvases
from training.data.chestxray14 import read
from training.data.pixel_path import Radiographs
from training.data.sample import Sample
from training.errors import TrainingError


def test_cached_canvases_equal_the_source_up_to_half_a_grey_step(published: Path, tmp_path: Path) -> None:
    source = read(published, "val", 48)
    cached = cache_canvases(source, tmp_path / "cache")
    canvas, target = cached.batch(np.arange(len(source)))
    for index in range(len(source)):
        np.testing.assert_allclose(canvas[index].numpy(), source[index].canvas, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(target[index].numpy(), source[index].case.findings)
    assert canvas.dtype == torch.float32
    assert (cached.cases[0].image, cached.patients[0], cached.collections[0]) == ("00000012_000.png", "12", "B")


def test_a_second_build_reads_no_image(published: Path, tmp_path: Path) -> None:
    source = read(published, "val", 48)
    first = cache_canvases(source, tmp_path / "cache").pixels.copy()
    for path in source.paths:
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)  # unreadable, and of the same size and time
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    np.testing.assert_array_equal(cache_canvases(source, tmp_path / "cache").pixels, first)


def test_a_simultaneous_run_does_not_overwrite_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cache.open_or_create(tmp_path / "x.npy", (2, 3))
    first[:] = 7
    monkeypatch.setattr(
        Path, "is_file", lambda _: False
    )  # as if the second process had checked before the first created the file
    second = cache.open_or_create(tmp_path / "x.npy", (2, 3))
    assert (second == 7).all()
    second[0] = 8
    assert (first[0] == 8).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_canvases_that_would_fill_the_disk_are_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "disk_usage", lambda _: SimpleNamespace(free=8 * 48 * 48 - 1))
    with pytest.raises(TrainingError, match=r"canvases need 0\.0 GB, and 0\.0 are free"):
        cache_canvases(read(published, "val", 48), tmp_path / "cache")
    monkeypatch.setattr(cache, "disk_usage", lambda _: SimpleNamespace(free=8 * 48 * 48))
    assert len(cache_canvases(read(published, "val", 48), tmp_path / "cache")) == 8


def test_an_interrupted_build_is_resumed(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "CHUNK", 3)
    source = read(published, "val", 48)
    reads: list[int] = []
    get = Radiographs.__getitem__

    def failing(self: Radiographs, index: int) -> Sample:
        reads.append(index)
        if len(reads) == 5:
            raise OSError
        return get(self, index)

    monkeypatch.setattr(Radiographs, "__getitem__", failing)
    with pytest.raises(OSError):  # noqa: PT011 - the disk's own
        cache_canvases(source, tmp_path / "cache", workers=1)
    reads[:] = range(10)
    cached = cache_canvases(source, tmp_path / "cache", workers=1)
    assert sorted(reads[10:]) == [3, 4, 5, 6, 7]
    monkeypatch.undo()
    np.testing.assert_array_equal(cached.pixels, cache_canvases(source, tmp_path / "other").pixels)


def test_a_subset_shares_pixels_and_keeps_the_order(canvases: Canvases) -> None:
    part = canvases.subset(np.array([19, 3])).subset(np.array([1]))
    assert len(part) == 1
    assert (part.cases, part.patients, part.collections) == ((canvases.cases[3],), ("a1",), ("A",))
    assert np.shares_memory(part.pixels, canvases.pixels)
    np.testing.assert_array_equal(part.batch(np.array([0]))[0], canvases.batch(np.array([3]))[0])


def test_reduced_is_the_area_mean(canvases: Canvases) -> None:
    small = canvases.subset(np.array([4, 2])).reduced(16)
    means, target = small.batch(np.array([1, 0]))
    for place, index in enumerate((2, 4)):
        expected = canvases.pixels[index].reshape(16, 4, 16, 4).mean((1, 3)) / 255
        np.testing.assert_allclose(means[place, 0], expected, atol=1e-6)
        np.testing.assert_array_equal(target[place], canvases.cases[index].findings)
    assert small.size == 16
    twice = small.reduced(8).batch(np.array([1]))[0]
    np.testing.assert_allclose(twice, canvases.reduced(8).batch(np.array([2]))[0], atol=1e-6)
    assert canvases.reduced(48) is canvases  # 64 is not a multiple of 48
    assert canvases.reduced(64) is canvases


def test_means_are_those_of_the_images_in_this_order(canvases: Canvases) -> None:
    means = canvases.subset(np.array([7, 1])).means()
    expected = [canvases.batch(np.array([index]))[0].double().mean().item() for index in (7, 1)]
    np.testing.assert_allclose(means, expected, atol=1e-6)
    assert means.dtype == np.float64
    np.testing.assert_array_equal(canvases.subset(np.array([7, 1])).reduced(16).means(), means)


def test_another_process_is_sent_a_name_and_no_pixels(published: Path, tmp_path: Path) -> None:
    cached = cache_canvases(read(published, "val", 128), tmp_path / "cache").subset(np.array([5, 2])).reduced(64)
    handed = pickle.dumps(cached)
    assert len(handed) < cached.pixels.nbytes / 10
    there = pickle.loads(handed)
    assert (there.cases, there.name, there.size) == (cached.cases, cached.name, 64)
    torch.testing.assert_close(there.batch(np.array([0, 1])), cached.batch(np.array([0, 1])), rtol=0, atol=0)


def test_canvases_in_memory_are_sent_whole(canvases: Canvases) -> None:
    there = pickle.loads(pickle.dumps(canvases))
    np.testing.assert_array_equal(there.pixels, canvases.pixels)


def test_the_file_depends_on_all_that_determines_the_pixels(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    for split, size in (("val", 48), ("val", 32), ("test", 48), ("val", 48)):
        cache_canvases(read(published, split, size), folder)
    assert len(list(folder.glob("*.npy"))) == 2 * 3
    source = read(published, "val", 48)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(source.paths[0])
    assert cache_canvases(read(published, "val", 48), folder).first(1)[0].max() == 0


def test_the_pixels_of_a_finished_cache_cannot_be_written_by_accident(published: Path, tmp_path: Path) -> None:
    cached = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        cached.pixels[0] = 0


BUILD = """
import sys, time
from pathlib import Path
from training.data.cache import cache_canvases
from training.data.chestxray14 import read
from training.data.pixel_path import Radiographs
get, count = Radiographs.__getitem__, []
def slowly(self, index):
    count.append(index)
    time.sleep(0.05)
    return get(self, index)
Radiographs.__getitem__ = slowly
source = read(Path(sys.argv[1]), "train", 48)
print("ready", flush=True)
sys.stdin.readline()
cache_canvases(source, Path(sys.argv[2]), workers=1)
print(len(count))
"""


def test_two_processes_can_build_at_once(published: Path, tmp_path: Path, root: Path) -> None:
    command = [sys.executable, "-c", BUILD, str(published), str(tmp_path / "cache")]
    both = [subprocess.Popen(command, cwd=root, stdin=PIPE, stdout=PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [int(process.communicate()[0]) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert min(answers) > 0  # both processes read images
    source = read(published, "train", 48)
    there, anew = cache_canvases(source, tmp_path / "cache"), cache_canvases(source, tmp_path / "anew")
    np.testing.assert_array_equal(there.pixels, anew.pixels)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_first_returns_the_canvases_of_the_service(canvases: Canvases) -> None:
    first = canvases.first(2)
    assert (len(first), len(canvases.first(64))) == (2, 20)
    assert first[0].shape == (1, 64, 64)
    assert first[0].dtype == np.float32
    assert 0 <= first[0].min() <= first[0].max() <= 1
