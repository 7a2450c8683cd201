"""Who may import what, read from the sources: the rooms of the design and the arrows between them."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Floors of the service, lowest first. A room may import from every floor below its own.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("service.errors", "service.private_file", "service.threads"),
    ("service.destinations", "service.telemetry", "service.metrics"),
    ("service.dimse_settings", "service.cage_settings", "service.http_settings", "service.metrics_settings"),
    ("service.traces",),
    ("service.settings", "service.exposition"),
    ("service.dicom", "service.artefact"),
    ("service.triage",),
    ("service.storage", "service.inference"),
    ("service.objects",),
    ("service.prediction", "service.sending"),
    ("service.http",),
    ("service.dicom_web", "service.dimse"),
    ("service.http.app", "service.backfill"),
    ("service.cli",),
)
# Imports against the floors, each with its reason.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("service.destinations", "service.objects.kinds"): "a setting names kinds of objects; the table imports nothing",
    ("service.settings", "service.triage.default_rule"): "the default of a setting; the module imports nothing",
    ("service.storage", "service.objects.kinds"): "the outbox names kinds of objects; the table imports nothing",
}
# Rooms that know nothing of the service beyond its errors.
GROUND = {"service.dicom": {"service.errors"}, "service.artefact": {"service.errors"}}

TRAINING_FLOORS: tuple[tuple[str, ...], ...] = (
    ("training.errors", "training.progress"),
    ("training.data",),
    ("training.phantom",),
    ("training.evaluation",),
    ("training.fit",),
    ("training.report", "training.export"),
    ("training.cli",),
)
TRAINING_MAY_IMPORT = {"model", "service.dicom", "service.artefact", "service.triage", "service.errors"}

FOREIGN: dict[str, set[str]] = {  # libraries that a package must not know
    "model": {"pydicom", "onnx", "onnxruntime", "fastapi", "numpy.testing", "lightning_fabric"},
    "training": {"fastapi", "sqlalchemy"},
    "service": {"torch", "onnx", "onnxscript", "lightning_fabric", "scipy", "sklearn", "cv2"},
}
BANNED_NAMES = {"utils", "util", "common", "base", "core", "helpers", "helper", "types", "misc"}

SOURCES = sorted(path for package in ("model", "training", "service") for path in (ROOT / package).rglob("*.py"))
MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in SOURCES}


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


def room_of(name: str) -> str | None:
    rooms = [room for floors in (FLOORS, TRAINING_FLOORS) for floor in floors for room in floor]
    return max((room for room in rooms if within(name, room)), key=len, default=None)


def floor_of(room: str) -> int:
    floors = TRAINING_FLOORS if room.startswith("training") else FLOORS
    return next(number for number, floor in enumerate(floors) if room in floor)


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Module and name of every import; the name is empty for `import module`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def is_ours(name: str) -> bool:
    return name.split(".")[0] in ("model", "training", "service")


def violations(here: str, source: str) -> list[str]:
    """Describe every import of ours that the floors do not allow."""
    reports = []
    for origin, name in imported(source):
        target = f"{origin}.{name}" if f"{origin}.{name}" in MODULES else origin
        if is_ours(target) and (reason := _violation(here, target)):
            reports.append(f"{here} imports {target}: {reason}")
    return reports


def _violation(here: str, target: str) -> str | None:
    package = here.split(".")[0]
    if package == "model":
        return None if within(target, "model") else "model imports nothing but itself"
    if package == "training" and not within(target, "training"):
        return None if any(within(target, allowed) for allowed in TRAINING_MAY_IMPORT) else "not for training"
    if package == "service" and not within(target, "service"):
        return "the service meets neither model nor training"
    mine, theirs = room_of(here), room_of(target)
    if mine is None or theirs is None:
        return "stands in no room"
    if mine == theirs or any(within(here, low) and within(target, high) for low, high in EXCEPTIONS):
        return None
    if mine in GROUND and theirs not in GROUND[mine]:
        return f"{mine} knows nothing of the service"
    if floor_of(theirs) > floor_of(mine):
        return "upward"
    return "sideways" if floor_of(theirs) == floor_of(mine) else None


def reexports(here: str, source: str) -> list[str]:
    """Describe every name that is imported from a module which itself only imports it, and every `X as X`."""
    reports = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            reports += [f"{here}: {alias.name} as {alias.name}" for alias in node.names if alias.asname == alias.name]
    for origin, name in imported(source):
        if name and origin in MODULES and f"{origin}.{name}" not in MODULES and name not in defined(origin):
            reports.append(f"{here} imports {name} from {origin}, which does not define it")
    return reports


def defined(name: str) -> set[str]:
    """Names that a module defines at its top level, rather than imports."""
    path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
    if not path.exists():
        path = ROOT.joinpath(*name.split("."), "__init__.py")
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {leaf.id for target in targets for leaf in ast.walk(target) if isinstance(leaf, ast.Name)}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_imports_go_downward(path: Path) -> None:
    if path.name == "__init__.py":
        assert not path.read_text(encoding="utf-8"), "__init__.py files are empty"
    else:
        assert violations(module(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_a_name_is_imported_from_the_module_that_defines_it(path: Path) -> None:
    assert reexports(module(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("here", "source", "reason"),
    [
        ("service.storage.records", "from service.prediction.pipeline import Pipeline", "upward"),
        ("service.errors", "import service.settings", "upward"),
        ("service.dicom_web.store", "from service.dimse import wire", "sideways"),
        ("service.http.auth", "from service.http.app import create_app", "upward"),
        ("service.dicom.reader", "from service.telemetry import log", "nothing of the service"),
        ("service.http.auth", "from model.labels import LABELS", "neither model nor training"),
        ("model.crop", "from service.dicom.canvas import canvas", "nothing but itself"),
        ("training.fit.loop", "from service.storage.records import Records", "not for training"),
        ("training.data.cache", "from training.fit.loop import fit", "upward"),
        ("training.report.report", "from training.export.export import export", "sideways"),
    ],
)
def test_a_planted_import_against_the_floors_is_reported(here: str, source: str, reason: str) -> None:
    (violation,) = violations(here, source)
    assert reason in violation


@pytest.mark.parametrize(
    "source",
    [
        "from service.errors import TriageError as TriageError",
        "from service.prediction.pipeline import Record",
    ],
)
def test_a_planted_reexport_is_reported(source: str) -> None:
    assert len(reexports("service.http.app", source)) == 1


def test_planted_torch_is_reported() -> None:
    assert foreign("service.http.app", "def lazily():\n    from torch import nn") == {"torch"}


def foreign(here: str, source: str) -> set[str]:
    banned = FOREIGN[here.split(".")[0]]
    names = {f"{origin}.{name}" if name else origin for origin, name in imported(source)}
    return {library for library in banned if any(within(name, library) for name in names)}


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_a_package_does_not_import_libraries_that_it_must_not_know(path: Path) -> None:
    assert foreign(module(path), path.read_text(encoding="utf-8")) == set()


@pytest.mark.parametrize("path", SOURCES, ids=module)
def test_a_file_is_one_noun_of_the_field(path: Path) -> None:
    assert path.stem not in BANNED_NAMES
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, "a file this long is more than one noun"


@pytest.mark.parametrize("room", [room for floors in (FLOORS, TRAINING_FLOORS) for floor in floors for room in floor])
def test_the_floors_name_only_rooms_that_exist(room: str) -> None:
    path = ROOT.joinpath(*room.split("."))
    assert path.is_dir() or path.with_suffix(".py").is_file()


def loaded(script: str, names: tuple[str, ...]) -> list[str]:
    """Run a script and return which modules it has loaded."""
    check = f"import sys; {script}; print(*[name for name in {names!r} if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=True)
    return output.stdout.split()


def test_the_service_runs_without_torch() -> None:
    assert loaded("import service.http.app, service.cli.app", ("torch", "onnx", "scipy", "matplotlib")) == []


def test_the_service_runs_without_boto3_unless_a_setting_names_a_bucket() -> None:
    begin = "import service.http.app, service.cli.app; from service.settings import Storage; "
    make = "from service.storage.instance_store import instance_store; instance_store(Storage({}))"
    bucket = "url='s3://radiographs', endpoint='http://127.0.0.1'"

    assert loaded(begin + make.format(""), ("boto3", "botocore")) == []
    assert loaded(begin + make.format(bucket), ("boto3", "botocore")) == ["boto3", "botocore"]


def test_the_acceptor_runs_without_the_service() -> None:
    names = ("onnxruntime", "sqlalchemy", "service.http.app", "service.prediction.pipeline")
    assert loaded("import service.dimse.process", names) == []


def test_a_decoder_process_loads_neither_the_network_nor_the_service() -> None:
    names = ("onnxruntime", "fastapi", "sqlalchemy", "pydantic", "structlog", "highdicom", "prometheus_client")
    assert loaded("import service.prediction.worker, service.prediction.cage, service.prediction.jobs", names) == []


def test_a_decoder_process_loads_nothing_that_starts_threads_or_parses_files_before_it_is_in_its_cage() -> None:
    names = ("numpy", "pydicom", "imagecodecs", "PIL")
    assert loaded("import service.prediction.worker, service.prediction.cage", names) == []
