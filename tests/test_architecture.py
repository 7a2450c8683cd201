"""Who may import whom (the README's design picture), read from the sources."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

GROUND = {"service.errors", "service.destinations", "service.settings", "service.telemetry"}
TORCH_ROOMS = {"model", "training"}

# room -> the rooms and files of ours that it may import, besides itself
ALLOWED: dict[str, set[str]] = {
    "model": set(),
    "training": {"model", "service.dicom"},
    "service.errors": set(),
    "service.destinations": set(),
    "service.settings": {"service.errors", "service.destinations"},
    "service.telemetry": {"service.errors"},
    "service.dicom": {"service.errors"},
    "service.inference": GROUND,
    "service.reporting": GROUND,
    "service.storage": GROUND,
    "service.objects.rendering": GROUND | {"service.reporting", "service.storage"},
    "service.prediction.predictor": GROUND
    | {"service.dicom", "service.inference", "service.objects.rendering", "service.reporting", "service.storage"},
    "service.http.documents": GROUND | {"service.reporting", "service.storage"},
    "service.prediction.stored": GROUND | {"service.prediction.predictor", "service.http.documents", "service.storage"},
    "service.http.worklist_documents": GROUND | {"service.http.documents", "service.storage"},
    "service.http.feed": GROUND | {"service.storage"},
    "service.dicom_web.study": GROUND | {"service.reporting", "service.storage"},
    "service.dicom_web.catalogue": GROUND
    | {"service.prediction.predictor", "service.dicom", "service.storage", "service.dicom_web.study"},
    "service.sending": GROUND | {"service.storage"},
    "service.prediction.pipeline": GROUND
    | {
        "service.prediction.predictor",
        "service.http.documents",
        "service.prediction.stored",
        "service.dicom_web.catalogue",
        "service.http.feed",
        "service.dicom_web.study",
    }
    | {"service.reporting", "service.sending", "service.storage", "service.http.worklist_documents"},
    "service.http": GROUND | {"service.prediction.pipeline"},
    "service.dimse": GROUND,
    "service.cli.predict": GROUND | {"service.prediction.predictor", "service.prediction.pipeline", "service.http"},
    "service.cli.keys": GROUND | {"service.storage"},
    "service.cli.app": GROUND
    | {"service.cli.keys", "service.cli.predict", "service.prediction.pipeline", "service.http", "service.storage.keys"}
    | {"service.dimse"},
}
FOREIGN: dict[str, set[str]] = {  # libraries that a room must not know
    "model": {"pydicom", "onnx", "onnxruntime", "fastapi", "numpy.testing", "lightning_fabric"},
    "training": {"fastapi", "sqlalchemy"},
    "service": {"torch", "onnx", "onnxscript", "lightning_fabric", "scipy", "sklearn", "cv2"},
}
BANNED = {"utils", "util", "common", "base", "core", "helpers", "helper", "types", "misc"}

SOURCES = sorted(path for room in ("model", "training", "service") for path in (ROOT / room).rglob("*.py"))


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def room_of(name: str) -> str | None:
    return next((room for room in sorted(ALLOWED, key=len, reverse=True) if within(name, room)), None)


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_follow_the_design(path: Path) -> None:
    here = module(path)
    room = room_of(here)
    if room is None:
        assert path.name == "__init__.py", f"{here} stands in no room"
        return
    ours = {name for name in imports(path) if name.split(".")[0] in {"model", "training", "service"}}
    wrong = {name for name in ours if not within(name, room) and not any(within(name, to) for to in ALLOWED[room])}
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_libraries_stay_in_their_rooms(path: Path) -> None:
    banned = FOREIGN[module(path).split(".")[0]]
    assert not {name for name in imports(path) if any(within(name, library) for library in banned)}


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_a_file_is_one_noun_of_the_field(path: Path) -> None:
    assert path.stem not in BANNED
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 250, "a file this long is more than one noun"
    if path.name == "__init__.py":
        assert not lines, "__init__.py files are empty"


@pytest.mark.parametrize("room", ALLOWED)
def test_the_picture_names_only_what_exists(room: str) -> None:
    path = ROOT.joinpath(*room.split("."))
    assert path.is_dir() or path.with_suffix(".py").is_file()


def test_the_service_runs_without_torch() -> None:
    script = (
        "import sys; import service.http.app, service.cli;"
        "print([name for name in ('torch', 'onnx', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
