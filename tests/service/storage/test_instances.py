import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import ConfigurationError, NotFound, StorageFull
from service.storage.instances import Instances

WRITER = """
import sys; from pathlib import Path; from service.storage.instances import Instances
instances = Instances(Path(sys.argv[1]))
while True:
    print(instances.put(b"x" * 300_000), flush=True)
"""


@pytest.fixture
def instances(tmp_path: Path) -> Instances:
    opened = Instances(tmp_path / "a" / "instances")
    opened.open()
    return opened


def files(instances: Instances) -> list[Path]:
    return [path for path in instances.folder.rglob("*") if path.is_file()]


def age(instances: Instances, name: str, seconds: float) -> None:
    path = instances.folder / name[:2] / name
    os.utime(path, (time.time() - seconds,) * 2)


class TestOpen:
    def test_leaves_no_file(self, instances: Instances) -> None:
        assert files(instances) == []

    def test_a_folder_only_its_owner_reads(self, instances: Instances) -> None:
        name = instances.put(b"x")
        path = instances.folder / name[:2] / name
        places = (instances.folder.parent, instances.folder, path.parent, path)
        assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700, 0o700, 0o700, 0o600]

    def test_a_file_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        for folder in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(ConfigurationError) as caught:
                Instances(folder).open()
            assert "\n" not in caught.value.message

    def test_a_folder_that_takes_no_files(self) -> None:
        with pytest.raises(ConfigurationError):
            Instances(Path("/proc")).open()  # not even root's


class TestPut:
    @given(st.binary(max_size=4096))
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_gives_the_bytes_back(self, instances: Instances, data: bytes) -> None:
        assert instances.get(instances.put(data)) == data

    def test_names_are_never_shared(self, instances: Instances) -> None:
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(instances.put, [b"same"] * 64))
        assert len(set(names)) == 64
        assert {path.name for path in files(instances)} == set(names)

    def test_file_and_names_are_synced_before_it_returns(
        self, instances: Instances, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[str] = []
        sync = os.fsync

        def spy(descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", spy)
        while True:
            synced.clear()
            name = instances.put(b"x")
            if len(synced) == 3:  # the sub-folder was new
                break
        assert synced == [instances.folder.name, f"{name}.partial", name[:2]]

    @pytest.mark.parametrize("step", ["write", "fsync", "replace"])
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_a_disk_that_takes_no_more(
        self, instances: Instances, monkeypatch: pytest.MonkeyPatch, step: str, number: int
    ) -> None:
        def fail(*_: object) -> NoReturn:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            if step == "replace":
                patch.setattr(Path, "replace", fail)
            elif step == "fsync":
                patch.setattr(os, "fsync", fail)
            else:
                patch.setattr(os, "open", fail)
            with pytest.raises(StorageFull):
                instances.put(b"x" * 100)
        assert files(instances) == []
        instances.put(b"x")

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_device_that_is_really_full(self, instances: Instances, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = os.open

        def full(path: Path, flags: int, mode: int = 0o777) -> int:
            return opened("/dev/full" if flags & os.O_WRONLY else path, flags & ~os.O_EXCL, mode)

        monkeypatch.setattr(os, "open", full)
        with pytest.raises(StorageFull, match="No space left"):
            instances.put(b"x" * 100)

    def test_a_kill_leaves_whole_files_under_acknowledged_names(self, instances: Instances, root: Path) -> None:
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(instances.folder)], cwd=root, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            names = [process.stdout.readline().strip() for _ in range(20)]
            process.kill()
        assert all(instances.get(name) == b"x" * 300_000 for name in names)
        whole = [path for path in files(instances) if path.suffix == ".dcm"]
        assert all(path.stat().st_size == 300_000 for path in whole)


class TestGet:
    @pytest.mark.parametrize(
        "name",
        [
            "",
            "x",
            "../../etc/passwd",
            "/etc/passwd",
            "0" * 32,
            "A" * 32 + ".dcm",
            "0" * 32 + ".dcm\n",
            "0" * 32 + ".dcm",
        ],
    )
    def test_what_is_no_name_of_ours_is_not_found(self, instances: Instances, name: str) -> None:
        with pytest.raises(NotFound):
            instances.get(name)

    @given(st.text())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_text_reaches_another_file(self, instances: Instances, name: str) -> None:
        with pytest.raises(NotFound):
            instances.get(name)


class TestDelete:
    def test_twice_is_no_error(self, instances: Instances) -> None:
        name = instances.put(b"x")
        instances.delete(name)
        instances.delete(name)
        with pytest.raises(NotFound):
            instances.get(name)

    def test_only_names_of_ours(self, instances: Instances) -> None:
        outside = instances.folder.parent / "keep"
        outside.write_bytes(b"x")
        with pytest.raises(NotFound):
            instances.delete("../keep")
        assert outside.exists()


class TestSweep:
    def test_removes_old_orphans_and_nothing_else(self, instances: Instances) -> None:
        known, orphan, young = (instances.put(b"x") for _ in range(3))
        half = instances.folder / orphan[:2] / f"{'0' * 32}.dcm.partial"
        strange = instances.folder / orphan[:2] / "README"
        for path in (half, strange):
            path.write_bytes(b"x")
            os.utime(path, (0, 0))
        age(instances, known, 7200)
        age(instances, orphan, 7200)
        assert instances.sweep({known}, older_than=3600) == 2
        assert {path.name for path in files(instances)} == {known, young, strange.name}

    def test_of_nothing(self, tmp_path: Path) -> None:
        assert Instances(tmp_path / "none").sweep(frozenset(), 0) == 0

    def test_a_file_that_vanishes_meanwhile(self, instances: Instances) -> None:
        name = instances.put(b"x")
        age(instances, name, 7200)

        class Deleting(frozenset[str]):
            def __contains__(self, _: object) -> bool:
                instances.delete(name)
                return False

        assert instances.sweep(Deleting(), 3600) == 0


class TestRoom:
    def test_less_than_should_be_free(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 900, 100))

        Instances(tmp_path, 100).check_room()
        with pytest.raises(StorageFull) as caught:
            Instances(tmp_path, 101).check_room()

        assert caught.value.code == "low_disk"

    def test_the_real_disk(self, tmp_path: Path) -> None:
        Instances(tmp_path).check_room()
        with pytest.raises(StorageFull):
            Instances(tmp_path, 2**62).check_room()
