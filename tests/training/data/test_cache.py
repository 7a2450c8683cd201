import errno
import os
import pickle
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from training.data import canvas_file
from training.data.cache import Canvases, cache_canvases
from training.data.chestxray14 import read
from training.data.pixel_path import Radiographs
from training.data.sample import Sample
from training.data.union import join
from training.errors import TrainingError


def equal(first: Canvases, second: Canvases) -> bool:
    """Whether two caches have the same images in the same order."""
    return torch.equal(first.read(np.arange(len(first))), second.read(np.arange(len(second))))


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
    first = cache_canvases(source, tmp_path / "cache")
    for path in source.paths:
        before = path.stat()
        path.write_bytes(b"x" * before.st_size)  # unreadable, and of the same size and time
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert equal(cache_canvases(source, tmp_path / "cache"), first)


def test_canvases_that_would_fill_the_disk_are_refused(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canvas_file, "disk_usage", lambda _: SimpleNamespace(free=8 * 48 * 48 - 1))
    with pytest.raises(TrainingError, match=r"canvases need 0\.0 GB, and 0\.0 are free"):
        cache_canvases(read(published, "val", 48), tmp_path / "cache")
    monkeypatch.setattr(canvas_file, "disk_usage", lambda _: SimpleNamespace(free=8 * 48 * 48))
    assert len(cache_canvases(read(published, "val", 48), tmp_path / "cache")) == 8


def test_an_interrupted_build_is_resumed(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canvas_file, "CHUNK", 3)
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
    assert equal(cached, cache_canvases(source, tmp_path / "other"))


def test_the_rows_of_an_interrupted_chunk_are_used_by_the_next(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = read(published, "val", 48)
    opened = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                cache_canvases(source, tmp_path / "cache")
            opened.append(len(canvas_file.open_file(tmp_path / "cache", 48).open()))
    cached = cache_canvases(source, tmp_path / "cache")
    assert (opened, cached.rows.tolist(), len(cached.pixels)) == ([8, 8, 8], list(range(8)), 8)
    assert equal(cached, cache_canvases(source, tmp_path / "other"))


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_rows_that_another_process_is_writing_are_not_used(published: Path, tmp_path: Path) -> None:
    """As the one that holds the lock has no entries yet, its rows look like those of an interrupted chunk."""
    source, folder = read(published, "val", 48), tmp_path / "cache"
    file = canvas_file.open_file(folder, 48)
    os.truncate(file.pixels, 5 * file.row_bytes)
    command = [sys.executable, "-S", "-c", HOLD, str(file.lock), str(canvas_file.WRITING), "LOCK_SH"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert cache_canvases(source, folder).rows.tolist() == list(range(5, 13))
        holder.kill()


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


def test_of_several_files_another_process_is_sent_their_names(published: Path, tmp_path: Path) -> None:
    parts = [cache_canvases(read(published, split, 128), tmp_path / split) for split in ("val", "train")]
    both = join(parts)
    handed = pickle.dumps(replace(both, cases=()))
    assert len(handed) < sum(part.pixels[0].nbytes for part in parts)
    there, indices = pickle.loads(handed), np.arange(len(both))[::-1].copy()
    np.testing.assert_array_equal(there.stored(indices), both.stored(indices))


def test_canvases_in_memory_are_sent_whole(canvases: Canvases) -> None:
    there = pickle.loads(pickle.dumps(canvases))
    np.testing.assert_array_equal(there.pixels, canvases.pixels)


def test_lists_share_a_file_and_no_image_is_read_twice(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, reads = tmp_path / "cache", list[int]()
    get = Radiographs.__getitem__

    def counted(self: Radiographs, index: int) -> Sample:
        reads.append(index)
        return get(self, index)

    monkeypatch.setattr(Radiographs, "__getitem__", counted)
    parts = [cache_canvases(read(published, split, 48), folder) for split in ("val", "train")]
    both = cache_canvases(read(published, "train+val", 48), folder)
    assert len(reads) == 32
    assert len(list(folder.glob("*.u8"))) == 1
    whole, indices = both.read(np.arange(32)), np.arange(24)
    torch.testing.assert_close(whole[:24], parts[1].read(indices), rtol=0, atol=0)
    torch.testing.assert_close(whole[24:], parts[0].read(indices[:8]), rtol=0, atol=0)
    cache_canvases(read(published, "val", 32), folder)  # another canvas size
    assert len(reads) == 40


def test_only_a_file_that_changed_is_read_again(published: Path, tmp_path: Path) -> None:
    before = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    picture = read(published, "val", 48).paths[0]
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(picture)
    after = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    assert (after.rows != before.rows).tolist() == [True] + 7 * [False]
    assert len(after.pixels) == 9
    assert after.first(1)[0].max() == 0
    assert before.first(1)[0].max() > 0  # a run that is under way keeps what it opened


def test_an_entry_that_was_half_written_is_written_over(published: Path, tmp_path: Path) -> None:
    whole = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    (index,) = (tmp_path / "cache").glob("*.index")
    index.write_bytes(index.read_bytes()[:-5])  # as after a power failure
    mended = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    assert mended.rows.tolist() == whole.rows.tolist()
    assert equal(whole, mended)
    assert equal(whole, cache_canvases(read(published, "val", 48), tmp_path / "cache"))


def test_without_the_pixel_file_all_is_read_again(published: Path, tmp_path: Path) -> None:
    whole = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    (pixels,) = (tmp_path / "cache").glob("*.u8")
    pixels.unlink()
    assert equal(whole, cache_canvases(read(published, "val", 48), tmp_path / "cache"))


def test_a_full_disk_is_one_line(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(TrainingError, match=r"canvases-48-stretch\.u8: No space left"):
        cache_canvases(read(published, "val", 48), tmp_path / "cache")


def test_the_pixels_of_a_finished_cache_cannot_be_written_by_accident(published: Path, tmp_path: Path) -> None:
    cached = cache_canvases(read(published, "val", 48), tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        cached.pixels[0] = 0


BUILD = """
import os, sys, time
from pathlib import Path
from training.data import canvas_file
from training.data.cache import cache_canvases
from training.data.chestxray14 import read
from training.data.pixel_path import Radiographs
canvas_file.CHUNK = 5
get, count = Radiographs.__getitem__, []
def slowly(self, index):
    if not count:  # the other process begins before this one goes on
        (begun / str(os.getpid())).touch()
        deadline = time.monotonic() + 60
        while len(list(begun.iterdir())) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    count.append(index)
    time.sleep(0.05)
    return get(self, index)
Radiographs.__getitem__ = slowly
source, begun = read(Path(sys.argv[1]), "train", 48), Path(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
cache_canvases(source, Path(sys.argv[2]), workers=1)
print(len(count))
"""


def test_two_processes_can_build_at_once(published: Path, tmp_path: Path, root: Path) -> None:
    (tmp_path / "begun").mkdir()
    command = [sys.executable, "-c", BUILD, *map(str, (published, tmp_path / "cache", tmp_path / "begun"))]
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
    assert sum(answers) == 24  # and each image was read by one of them
    source = read(published, "train", 48)
    assert equal(cache_canvases(source, tmp_path / "cache"), cache_canvases(source, tmp_path / "anew"))


HOLD = """
import fcntl, sys
with open(sys.argv[1], "r+b") as lock:
    fcntl.lockf(lock, getattr(fcntl, sys.argv[3]), 1, int(sys.argv[2]))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_an_image_claimed_by_a_process_that_dies_is_read_by_another(published: Path, tmp_path: Path) -> None:
    source, folder = read(published, "train", 48), tmp_path / "cache"
    file = canvas_file.open_file(folder, 48)
    command = [sys.executable, "-S", "-c", HOLD, str(file.lock), str(canvas_file.place_of(source.keys[0])), "LOCK_EX"]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as holder, ThreadPoolExecutor(1) as pool:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        filling = pool.submit(cache_canvases, source, folder, 1)
        while len(file.rows) < 23:
            assert not filling.done()
            time.sleep(0.01)
            file.update()
        assert source.keys[0] not in file.rows
        holder.kill()
        assert len(filling.result(60)) == 24
    file.update()
    assert source.keys[0] in file.rows


def test_first_returns_the_canvases_of_the_service(canvases: Canvases) -> None:
    first = canvases.first(2)
    assert (len(first), len(canvases.first(64))) == (2, 20)
    assert first[0].shape == (1, 64, 64)
    assert first[0].dtype == np.float32
    assert 0 <= first[0].min() <= first[0].max() <= 1
