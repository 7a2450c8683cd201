"""The machine and the versions that the figures were measured with."""

import os
import platform
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import imagecodecs

from bench.scores import table
from bench.speed.figure import Report
from bench.speed.litserve import FOLDER as LITSERVE
from bench.speed.section import Results, Run, Section
from service.inference.provider import processors
from service.prediction.decoder_settings import decoder_count
from service.settings import Settings

PACKAGES = ("onnxruntime", "numpy", "pillow", "pydicom", "fastapi", "starlette", "uvicorn", "pylibjpeg-openjpeg")
_CODECS = ("openjpeg", "openjph", "charls")


def measure(run: Run) -> None:
    run.kept.once("date", lambda: datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"))
    run.kept.once("load before", lambda: f"{os.getloadavg()[0]:.1f}")
    run.kept.once("machine", _machine)
    run.kept.once("disk", lambda: f"writes and syncs 15 MB at {_disk(run.folder):.0f} MB/s")
    run.kept.once("software", _software)
    run.kept.once("threads", _threads)
    run.kept.once("image", lambda: f"{run.size.width} × {run.size.height} pixels, 12 bits")
    run.kept.once("sources", lambda: f"`service/` is git tree {run.kept.sources}")


def report(results: Results) -> Report:
    rows = results.get("machine", {})
    return Report(table([["", ""], *([name, str(value)] for name, value in rows.items())]) if rows else "")


def _machine() -> str:
    names = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    flags = next((line for line in _lines("/proc/cpuinfo") if line.startswith("flags")), "").split()
    wide = ", ".join(flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni") if flag in flags)
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if "MemTotal" in line), 0)
    return f"{processors()} × {names[0] if names else platform.machine()} ({wide}), {memory:.0f} GiB, no GPU used"


def _software() -> str:
    codecs = [word for word in imagecodecs.version().split(", ") if word.startswith(_CODECS)]
    packages = [f"{name} {found}" for name in PACKAGES if (found := _version(name))]
    others = [f"litserve {_litserve()}", f"Orthanc {_orthanc()}"]
    kernel, python = f"Linux {platform.release()}", f"Python {platform.python_version()}"
    return ", ".join([kernel, python, *packages, f"imagecodecs ({', '.join(codecs)})", *others])


def _threads() -> str:
    settings = Settings()
    return (
        f"service with its default settings: {decoder_count(settings.limits)} decoder processes, network "
        f"{settings.runtime.threads or processors()} threads, {settings.limits.max_in_flight} files at once; "
        "floor 1 thread a process"
    )


def _disk(folder: Path) -> float:
    """Return the MB that this disk writes and syncs a second, in files of 15 MB."""
    data, start = os.urandom(15_000_000), time.perf_counter()
    for number in range(5):
        with (folder / f"{number}").open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    return 75 / (time.perf_counter() - start)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _litserve() -> str:
    return next((path.name.split("-")[1] for path in LITSERVE.glob("litserve-*.dist-info")), "not installed")


def _orthanc() -> str:
    program = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
    if not Path(program).exists():
        return "not installed"
    words = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.split()
    return words[1] if len(words) > 1 else "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []


SECTION = Section("machine", "Machine", measure, report)

if __name__ == "__main__":
    from bench.speed.command import main

    main("machine")
