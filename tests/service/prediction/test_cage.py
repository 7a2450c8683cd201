"""A decoder process as its kernel sees it, tried from inside: what it may not do, and that it can still work."""

import asyncio
import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from service.prediction.cage import libraries
from service.prediction.decoders import Decoders
from tests.conftest import ROOT
from tests.service.conftest import Run
from tests.service.prediction.pools import pool


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with pool() as decoders:
        missing = asyncio.run(decoders.report()).missing
        if missing:
            pytest.skip(f"this kernel has no cage: {'; '.join(missing)}")
        yield decoders


def inside(decoders: Decoders, function: Callable[..., object], *arguments: object) -> object:
    """Call a function in the process."""
    return asyncio.run(decoders._run(function, arguments))


def run_code(code: str) -> object:
    """Run statements, and return what they call `result`."""
    names: dict[str, object] = {}
    exec(code, names)
    return names.get("result")


def system_call(number: int, *arguments: int) -> int:
    """Make a system call by its number; return its error, or 0."""
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    return ctypes.get_errno() if library.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0 else 0


def test_it_has_all_parts(decoders: Decoders) -> None:
    parts = asyncio.run(decoders.report()).parts

    assert len(parts) == 3
    assert "no capabilities" in parts
    assert "seccomp" in parts
    assert any(part.startswith("Landlock") for part in parts)


# Files


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/proc/self/environ", "/proc/self/status", "/dev/null", "/dev/shm", "/", "/tmp", "/root", "/home"],
)
def test_it_opens_no_file_that_is_not_of_its_libraries(decoders: Decoders, path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"this machine has no {path}")
    with pytest.raises(PermissionError):
        inside(decoders, os.open, path, os.O_RDONLY)


def test_it_opens_neither_database_nor_key_nor_another_instance(decoders: Decoders, tmp_path: Path) -> None:
    instance = tmp_path / "instances" / "aa" / f"{'a' * 32}.dcm"
    instance.parent.mkdir(parents=True)
    for path in (tmp_path / "triage.sqlite", tmp_path / "log.key", instance):
        path.write_bytes(b"secret")
        with pytest.raises(PermissionError):
            inside(decoders, Path.read_bytes, path)
    with pytest.raises(PermissionError):
        inside(decoders, os.listdir, str(instance.parent))


def test_it_reads_what_it_is_handed(decoders: Decoders, tmp_path: Path) -> None:
    for number in range(3):  # and keeps none of it open
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(b"handed" * number)
        assert asyncio.run(decoders.examine(path, joined, path)) == b"handed" * number * 2
        with pytest.raises(PermissionError):
            inside(decoders, Path.read_bytes, path)
    assert inside(decoders, open_files) == 4  # its standard streams, and the pipe


def joined(data: bytes, _bounds: object, other: bytes) -> bytes:
    return data + other


def open_files() -> int:
    count = 0
    for descriptor in range(1024):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        count += 1
    return count


@pytest.mark.parametrize(
    "write",
    [
        "open(path, 'w')",
        "open(path + '.new', 'w')",
        "os.mkdir(path + '.new')",
        "os.unlink(path)",
        "os.rename(path, path + '.new')",
        "os.symlink('/etc/passwd', path + '.new')",
        "os.link(path, path + '.new')",
        "os.truncate(path, 0)",
        "os.chmod(path, 0o777)",
        "os.utime(path, (0, 0))",
        "os.chdir('/')",
    ],
)
def test_it_changes_no_file_not_even_where_it_may_read(decoders: Decoders, write: str, tmp_path: Path) -> None:
    for folder in (tmp_path, Path(__file__).parent):
        path = folder / "file"
        path.write_text("as it was")
        try:
            with pytest.raises(OSError, match=r"\[Errno (1|13|38)\]"):
                inside(decoders, run_code, f"import os; path = {str(path)!r}; {write}")
            assert path.read_text() == "as it was"
            assert not Path(f"{path}.new").exists()
        finally:
            path.unlink()


# Network


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX", "AF_NETLINK", "AF_PACKET"])
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM", "SOCK_RAW"])
def test_it_makes_no_socket(decoders: Decoders, family: str, kind: str) -> None:
    with pytest.raises(OSError, match="Errno 38"):
        inside(decoders, run_code, f"import socket; socket.socket(socket.{family}, socket.{kind})")
    with pytest.raises(OSError, match="Errno 38"):
        inside(decoders, run_code, "import socket; socket.socketpair()")


# Processes


@pytest.mark.parametrize("start", ["os.fork()", "os.forkpty()", "subprocess.run(['/bin/true'])", "os.system('true')"])
def test_it_starts_no_process(decoders: Decoders, start: str) -> None:
    if start.startswith("os.system"):
        assert inside(decoders, run_code, f"import os; result = {start}") != 0
        return
    with pytest.raises(OSError, match=r"\[Errno (1|38|13)\]"):
        inside(decoders, run_code, f"import os, subprocess; {start}")


def test_it_executes_no_program(decoders: Decoders) -> None:
    with pytest.raises(OSError, match="Errno 38"):
        inside(decoders, os.execv, sys.executable, [sys.executable, "-c", ""])
    with pytest.raises(OSError, match="Errno 38"):
        inside(decoders, run_code, "import os; os.execve(os.memfd_create('x'), ['x'], {})")


def test_it_touches_no_other_process(decoders: Decoders) -> None:
    for signal in (0, 9, 15):
        with pytest.raises(PermissionError):
            inside(decoders, os.kill, os.getpid(), signal)
    with pytest.raises(PermissionError):
        inside(decoders, os.kill, -1, 0)
    with pytest.raises(PermissionError):
        inside(decoders, run_code, f"import resource; resource.prlimit({os.getpid()}, resource.RLIMIT_NOFILE)")
    with pytest.raises(PermissionError):  # F_SETOWN: the kernel would send the signal
        inside(decoders, run_code, f"import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, {os.getpid()})")
    with pytest.raises(PermissionError):
        inside(decoders, os.open, f"/proc/{os.getpid()}/mem", os.O_RDONLY)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize(
    ("name", "number"),
    [
        *[("ptrace", 101), ("process_vm_readv", 310), ("process_vm_writev", 311), ("pidfd_open", 434)],
        *[("pidfd_getfd", 438), ("clone3", 435), ("vfork", 58), ("execveat", 322), ("io_uring_setup", 425)],
        *[("bpf", 321), ("perf_event_open", 298), ("userfaultfd", 323), ("keyctl", 250), ("mount", 165)],
        *[("unshare", 272), ("setns", 308), ("open_by_handle_at", 304), ("init_module", 175), ("reboot", 169)],
        *[("connect", 42), ("bind", 49), ("name_to_handle_at", 303), ("chroot", 161), ("setuid", 105), ("shmget", 29)],
        *[("a call of the next kernel", 999), ("open, by the numbers of x32", 0x40000002)],
    ],
)
def test_its_kernel_has_no_such_call(decoders: Decoders, name: str, number: int) -> None:
    assert inside(decoders, system_call, number, 0, 0, 0, 0) == 38, name


def test_it_has_no_privilege_and_gets_none(decoders: Decoders) -> None:
    """Seen from outside; `CapBnd` can be emptied by who has CAP_SETPCAP only."""
    number = inside(decoders, os.getpid)
    lines = Path(f"/proc/{number}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)

    for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb", *(["CapBnd"] if os.geteuid() == 0 else [])):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_every_thread_of_it_is_in_the_cage(decoders: Decoders) -> None:
    number = inside(decoders, os.getpid)
    for task in Path(f"/proc/{number}/task").iterdir():
        assert "Seccomp:\t2" in (task / "status").read_text()
    with pytest.raises(PermissionError):
        inside(decoders, run_code, _IN_A_THREAD)


_IN_A_THREAD = """
import threading
errors = []
def attempt():
    try:
        open("/etc/passwd")
    except OSError as error:
        errors.append(error)
thread = threading.Thread(target=attempt)
thread.start()
thread.join()
raise errors[0]
"""


# What works in it


def test_it_knows_the_local_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The rules of the time zone are in a file that it may not open; objects state local times."""
    zone = tmp_path / "zone"
    rule = b"\0\0\x7e\x90\0\0"  # RFC 9636: UTC+09:00, no summer time, the designation at 0
    for version in (b"\0", b"2"):
        head = b"TZif" + version + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
        zone.write_bytes((zone.read_bytes() if zone.exists() else b"") + head + rule + b"JST\0")
    zone.write_bytes(zone.read_bytes() + b"\nJST-9\n")
    monkeypatch.setenv("TZ", f":{zone}")
    with pool() as decoders:
        with suppress(PermissionError):
            assert not inside(decoders, Path.read_bytes, zone)
        assert inside(decoders, run_code, "import time; result = time.localtime(0).tm_hour") == 9


_WITH_A_THREAD = """
import asyncio, sys, threading, time
threading.Thread(target=time.sleep, args=(30,), daemon=True).start()  # in each process, as it imports this file
if __name__ == "__main__":
    from service.dicom.reader import Bounds
    from service.prediction.cage import Cage, libraries
    from service.prediction.decoders import Decoders
    for mode in ("auto", "required"):
        with Decoders(1, 20, Cage(2 * 2**30, mode, libraries()), Bounds()) as decoders:
            try:
                print(asyncio.run(decoders.report()).missing)
            except Exception as error:
                print(type(error).__name__, error)
"""


@pytest.mark.usefixtures("decoders")
def test_a_thread_from_before_the_cage_is_something_that_it_lacks(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(_WITH_A_THREAD)
    command = [sys.executable, script]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=os.environ).stdout

    lack = "threads from before, which Landlock and seccomp leave out"
    auto, required = output.splitlines()
    assert auto == f"('{lack}',)"
    assert required.startswith("ConfigurationError TRIAGE_DECODERS__CAGE is required")
    assert required.endswith(f"lacks: {lack}")


# What is readable


def test_its_libraries_hold_no_data_of_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    folders = libraries()

    for path in (tmp_path, ROOT / "data", Path.home() / "data", Path("/etc/passwd"), Path("/data"), Path("/var/lib")):
        assert not any(path.is_relative_to(folder) for folder in folders), path
    assert ROOT / "service" in folders


# Where the kernel has no cage

_WITHOUT = """
import ctypes, platform, runpy, struct, sys
number, sys.argv = int(sys.argv[1]), ["triage", *sys.argv[2:]]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 + 95), (6, 0, 0, 0x7fff0000)]  # EOPNOTSUPP
content = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
library = ctypes.CDLL(None)
assert library.prctl(38, ctypes.c_ulong(1), *[ctypes.c_ulong(0)] * 3) == 0
header = struct.pack("HP", len(code), ctypes.addressof(content))
assert library.prctl(22, ctypes.c_ulong(2), header) == 0
from service.cli.app import main
main()
"""


def check(artefact: Path, folder: Path, mode: str) -> subprocess.CompletedProcess[str]:
    """Run `triage check` on a kernel without Landlock: one whose call 444 a filter of seccomp hides."""
    environment = {
        **os.environ,
        "TRIAGE_MODEL__PATH": str(artefact),
        "TRIAGE_STORAGE__FOLDER": str(folder),
        "TRIAGE_DECODERS__CAGE": mode,
    }
    command = [sys.executable, "-c", _WITHOUT, "444", "check"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_check_says_what_is_missing_and_required_is_a_refusal_to_start(artefact: Path, tmp_path: Path) -> None:
    auto = check(artefact, tmp_path, "auto")
    assert auto.returncode == 0, auto.stderr
    assert (
        "decoders: sound, confined by no capabilities, seccomp; NOT COMPLETE, Landlock: Operation not supp"
        in auto.stdout
    )

    required = check(artefact, tmp_path, "required")
    assert required.returncode == 2
    assert required.stderr == (
        "triage: TRIAGE_DECODERS__CAGE is required, but the cage of the decoder processes lacks: "
        "Landlock: Operation not supported\n"
    )


@pytest.mark.usefixtures("decoders")
def test_check_prints_the_cage(run: Run, artefact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))

    monkeypatch.setenv("TRIAGE_DECODERS__CAGE", "required")
    code, out, err = run("check")
    assert (code, err) == (0, "")
    assert "decoders: sound, confined by no capabilities, Landlock (ABI " in out
    assert "NOT COMPLETE" not in out

    monkeypatch.setenv("TRIAGE_DECODERS__CAGE", "off")
    assert "decoders: sound, not confined by the kernel; NOT COMPLETE, TRIAGE_DECODERS__CAGE is off" in run("check")[1]
