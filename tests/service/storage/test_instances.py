import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.errors import ConfigurationError, NotFound, StorageFull
from service.storage import orphans
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
    def test_opening_leaves_no_file(self, instances: Instances) -> None:
        assert files(instances) == []

    def test_only_the_owner_can_read_folders_and_files(self, instances: Instances) -> None:
        name = instances.put(b"x")
        path = instances.folder / name[:2] / name
        places = (instances.folder.parent, instances.folder, path.parent, path)
        assert [stat.S_IMODE(place.stat().st_mode) for place in places] == [0o700, 0o700, 0o700, 0o600]

    def test_a_file_in_place_of_a_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_bytes(b"")
        for folder in (tmp_path / "file", tmp_path / "file" / "below"):
            with pytest.raises(ConfigurationError) as caught:
                Instances(folder).open()
            assert "\n" not in caught.value.message

    def test_a_folder_that_is_not_writable_is_refused(self) -> None:
        with pytest.raises(ConfigurationError):
            Instances(Path("/proc")).open()  # root cannot write there either


class TestPut:
    @given(st.binary(max_size=4096))
    @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_get_returns_the_bytes(self, instances: Instances, data: bytes) -> None:
        assert instances.get(instances.put(data)) == data

    def test_each_file_has_its_own_name(self, instances: Instances) -> None:
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(instances.put, [b"same"] * 64))
        assert len(set(names)) == 64
        assert {path.name for path in files(instances)} == set(names)

    def test_file_and_names_are_synced_before_put_returns(
        self, instances: Instances, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        synced: list[str] = []
        sync = os.fsync

        def spy(descriptor: int) -> None:
            synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", spy)
        for _ in range(100):
            synced.clear()
            name = instances.put(b"x")
            if len(synced) == 3:  # the sub-folder was new
                break
        assert synced == [instances.folder.name, f"{name}.partial", name[:2]]

    @pytest.mark.parametrize("step", ["write", "fsync", "replace"])
    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
    def test_a_failed_write_raises_storage_full_and_leaves_no_file(
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
    def test_a_full_device_raises_storage_full(self, instances: Instances, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = os.open

        def full(path: Path, flags: int, mode: int = 0o777) -> int:
            return opened("/dev/full" if flags & os.O_WRONLY else path, flags & ~os.O_EXCL, mode)

        monkeypatch.setattr(os, "open", full)
        with pytest.raises(StorageFull, match="No space left"):
            instances.put(b"x" * 100)

    def test_after_a_kill_acknowledged_files_are_complete(self, instances: Instances, root: Path) -> None:
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
    def test_a_malformed_or_unknown_name_is_not_found(self, instances: Instances, name: str) -> None:
        with pytest.raises(NotFound):
            instances.get(name)

    @given(st.text())
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_name_reaches_another_file(self, instances: Instances, name: str) -> None:
        with pytest.raises(NotFound):
            instances.get(name)


class TestDelete:
    def test_deleting_twice_is_no_error(self, instances: Instances) -> None:
        name = instances.put(b"x")
        instances.delete(name)
        instances.delete(name)
        with pytest.raises(NotFound):
            instances.get(name)

    def test_a_malformed_name_deletes_nothing(self, instances: Instances) -> None:
        outside = instances.folder.parent / "keep"
        outside.write_bytes(b"x")
        with pytest.raises(NotFound):
            instances.delete("../keep")
        assert outside.exists()


class TestSweep:
    def test_old_orphans_are_deleted_and_nothing_else(self, instances: Instances) -> None:
        known, orphan, young = (instances.put(b"x") for _ in range(3))
        half = instances.folder / orphan[:2] / f"{'0' * 32}.dcm.partial"
        foreign = instances.folder / orphan[:2] / "README"
        for path in (half, foreign):
            path.write_bytes(b"x")
            os.utime(path, (0, 0))
        age(instances, known, 7200)
        age(instances, orphan, 7200)
        assert instances.sweep({known}.intersection, older_than=3600) == 2
        assert {path.name for path in files(instances)} == {known, young, foreign.name}

    def test_sweeping_a_missing_folder_deletes_nothing(self, tmp_path: Path) -> None:
        assert Instances(tmp_path / "none").sweep(set().intersection, 0) == 0

    def test_a_file_deleted_meanwhile_is_no_error(self, instances: Instances) -> None:
        name = instances.put(b"x")
        age(instances, name, 7200)

        def delete(names: Sequence[str]) -> tuple[str, ...]:
            instances.delete(names[0])
            return ()

        assert instances.sweep(delete, 3600) == 0

    def test_a_few_names_at_a_time_are_asked_for(self, instances: Instances, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(orphans, "_BATCH", 2)
        names = [instances.put(b"x") for _ in range(5)]
        for name in names:
            age(instances, name, 7200)
        asked: list[str] = []

        def known(batch: Sequence[str]) -> Sequence[str]:
            assert len(batch) <= 2
            asked.extend(batch)
            return [name for name in batch if name == names[0]]

        assert instances.sweep(known, 3600) == 4
        assert sorted(asked) == sorted(names)
        assert [path.name for path in files(instances)] == names[:1]


class TestRoom:
    def test_too_little_free_space_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1000, 900, 100))

        Instances(tmp_path, 100).check_room()
        with pytest.raises(StorageFull) as caught:
            Instances(tmp_path, 101).check_room()

        assert caught.value.code == "low_disk"

    def test_the_real_disk_is_measured(self, tmp_path: Path) -> None:
        Instances(tmp_path).check_room()
        with pytest.raises(StorageFull):
            Instances(tmp_path, 2**62).check_room()
