"""A run of `triage predict` that was cut short goes on where it ended, in every form of results."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from service.artefact.file import Artefact, load
from service.cli import parquet_table as table
from service.cli.line_file import line_file
from service.cli.results import Results
from service.errors import ConfigurationError, Overloaded, TriageError
from service.prediction.predictor import Predictor
from tests.factories import dicom_bytes, noise
from tests.service.conftest import Run

NAMES = ["a.dcm", 'b,"c".dcm', "two\nlines.dcm", "refused.dcm"]


@pytest.fixture(scope="module")
def loaded(artefact: Path) -> Artefact:
    return load(artefact)


def item(name: str, artefact: Artefact) -> dict[str, Any]:
    """A result; that of a name with "refused" is a refusal for two reasons."""
    if "refused" in name:
        reasons = [{"code": "modality_unsuitable"}, {"code": "view_unsuitable"}]
        outcome: dict[str, Any] = {"status": 422, "problem": {"code": "x", "detail": "no; wrong", "errors": reasons}}
    else:
        findings = [{"probability": 0.25} for _ in artefact.card.labels]
        prediction = {"priority": "HIGH", "reason": ["Mass", "Edema"], "flags": [], "findings": findings}
        outcome = {"status": 200, "prediction": prediction, "margin": None}
    return {"filename": name, **outcome, "artefact_sha256": artefact.sha256}


def run(opened: Any, names: list[str], artefact: Artefact) -> dict[str, str]:
    """Add results; return those that were there, by name."""
    with opened as results:
        known = dict(results.known)
        for name in names:
            results.write(item(name, artefact))
    return known


@contextmanager
def interrupted(opened: Any) -> Iterator[Results]:
    """Interrupt a run after its last result."""
    with opened as results:
        yield results
        raise KeyboardInterrupt


@pytest.mark.parametrize("form", ["json", "csv"])
def test_a_file_cut_at_any_byte_goes_on_after_its_last_whole_row(tmp_path: Path, loaded: Artefact, form: Any) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert run(line_file(whole, form, loaded), NAMES, loaded) == {}
    content = whole.read_bytes()

    for size in range(0, len(content), 7 if form == "csv" else 31):
        cut.write_bytes(content[:size])
        with line_file(cut, form, loaded) as results:
            remaining = [name for name in NAMES if name not in results.known]
            assert remaining == NAMES[len(results.known) :]
            for name in remaining:
                results.write(item(name, loaded))
        assert cut.read_bytes() == content

    known = run(line_file(whole, form, loaded), [], loaded)
    assert known == {**dict.fromkeys(NAMES[:3], ""), "refused.dcm": "modality_unsuitable; view_unsuitable"}
    assert whole.read_bytes() == content


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("json", b"a letter without an end of line"),
        ("json", b'{"filename": "a.dcm"}\n'),
        ("csv", b"filename,status\n"),
        ("csv", b"DICM"),
        ("csv", "HEAD\na.dcm,200\n"),
        ("csv", "HEAD\n\xff\xfe\n"),
        ("csv", 'HEAD\n"a"b,200\nc\n'),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(
    tmp_path: Path, loaded: Artefact, form: Any, content: bytes | str
) -> None:
    path = tmp_path / "results"
    run(line_file(path, "csv", loaded), [], loaded)
    if isinstance(content, str):
        content = content.replace("HEAD\n", path.read_text()).encode("latin-1")
    path.write_bytes(content)

    with pytest.raises(ConfigurationError, match="choose another output") as caught:
        run(line_file(path, form, loaded), [], loaded)

    assert caught.value.code == "other_results"
    assert path.read_bytes() == content


@pytest.mark.parametrize("form", ["json", "csv", "parquet"])
def test_results_of_another_artefact_or_run_are_refused(tmp_path: Path, loaded: Artefact, form: Any) -> None:
    path, other = tmp_path / "results", Artefact(loaded.card, "0" * 64, loaded.path, b"")

    def opened(artefact: Artefact) -> Any:
        return table.parquet_table(path, artefact) if form == "parquet" else line_file(path, form, artefact)

    with opened(loaded) as results:
        results.write(item("a.dcm", loaded))
        with pytest.raises(ConfigurationError, match="another run is writing"):
            run(opened(loaded), [], loaded)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"SHA-256 {loaded.sha256}, and the present one is 0000"):
        run(opened(other), [], other)

    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["results"]


def test_a_full_disk_is_one_line(tmp_path: Path, loaded: Artefact, monkeypatch: pytest.MonkeyPatch) -> None:
    """The part of a line that still found room is removed by the next run."""
    path = tmp_path / "results"
    run(line_file(path, "csv", loaded), NAMES[:2], loaded)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))  # the write after these bytes fails
    try:
        with pytest.raises(TriageError, match="cannot be written") as caught:
            run(line_file(path, "csv", loaded), NAMES[2:], loaded)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    assert caught.value.code == "unwritable"
    assert list(run(line_file(path, "csv", loaded), [], loaded)) == NAMES[:2]


def test_a_parquet_table_is_whole_however_often_it_was_cut_short(
    tmp_path: Path, loaded: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "ROWS", 2)
    path = tmp_path / "table.parquet"
    parts = tmp_path / "table.parquet.parts"
    with pytest.raises(KeyboardInterrupt):
        run(interrupted(table.parquet_table(path, loaded)), NAMES[:3], loaded)
    assert [part.name for part in sorted(parts.iterdir())] == ["000001.parquet", "000002.parquet"]

    assert list(run(table.parquet_table(path, loaded), NAMES[3:], loaded)) == NAMES[:3]
    merged = parquet.read_table(path)
    assert merged["filename"].to_pylist() == NAMES
    assert merged["code"].to_pylist() == [[], [], [], ["modality_unsuitable", "view_unsuitable"]]
    assert merged["reason"].to_pylist()[0] == ["Mass", "Edema"]
    assert merged[loaded.card.labels[0]].to_pylist() == [0.25, 0.25, 0.25, None]
    assert merged.schema.metadata[b"artefact_sha256"].decode() == loaded.sha256

    parts.mkdir()
    (parts / "000001.parquet").write_bytes(path.read_bytes())  # a kill between the last file and the end of its parts
    assert list(run(table.parquet_table(path, loaded), ["new.dcm"], loaded)) == NAMES
    assert parquet.read_table(path)["filename"].to_pylist() == [*NAMES, "new.dcm"]
    assert not parts.exists()

    path.write_bytes(b"PAR1 of something else")
    with pytest.raises(ConfigurationError, match="cannot be read as a Parquet table; choose another"):
        run(table.parquet_table(path, loaded), [], loaded)


@pytest.mark.parametrize("options", [("--json", "--output"), ("--parquet",)], ids=str)
def test_the_command_predicts_only_what_has_no_result(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    output, folder = str(tmp_path / "results"), tmp_path / "folder"
    folder.mkdir()
    (folder / "b.dcm").write_bytes(dicom_bytes(noise(300, 400)))
    (folder / "c.dcm").write_bytes(dicom_bytes(noise(), ViewPosition="LL"))

    first = run("predict", *options, output, str(folder))
    (folder / "a.dcm").write_bytes(dicom_bytes(noise(300, 400)))
    (folder / "b.dcm").write_bytes(b"not read again")
    second = run("predict", *options, output, str(folder))

    assert first == (1, "", f"{output}: 2 files; 1 refused (view_unsuitable 1)\n")
    assert second == (1, "", f"{output}: 3 files, 2 of them by earlier runs; 1 refused (view_unsuitable 1)\n")
    assert [(Path(name).name, status) for name, status in outcomes(Path(output), options[0])] == [
        ("b.dcm", 200),
        ("c.dcm", 422),
        ("a.dcm", 200),
    ]


def outcomes(path: Path, form: str) -> list[tuple[str, int]]:
    """File and status of each result."""
    if form == "--parquet":
        rows: list[Any] = parquet.read_table(path).to_pylist()
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(row["filename"], int(row["status"])) for row in rows]


@pytest.mark.parametrize("options", [("--json", "--output"), ("--csv", "--output"), ("--parquet",)], ids=str)
def test_a_file_that_failed_through_no_fault_of_its_own_is_tried_again(
    run: Run, artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.setenv("TRIAGE_MODEL__PATH", str(artefact))
    output, folder = str(tmp_path / "results"), tmp_path / "folder"
    folder.mkdir()
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(dicom_bytes(noise(seed=number), SOPInstanceUID=f"2.25.{number + 1}"))
    prepare, failures = Predictor.prepare, {"1.dcm": OSError(5, "Input/output error"), "2.dcm": Overloaded("no")}

    async def failing(self: Predictor, file: Path | bytes) -> Any:
        if isinstance(file, Path) and file.name in failures:  # not of the check at the start
            raise failures[file.name]
        return await prepare(self, file)

    with monkeypatch.context() as patched:
        patched.setattr(Predictor, "prepare", failing)
        first = run("predict", *options, output, str(folder))
    second = run("predict", *options, output, str(folder))

    again = "2 refused (unreadable 1, overloaded 1); the same command tries 2 of them again"
    assert first == (1, "", f"{output}: 3 files; {again}\n")
    assert second == (0, "", f"{output}: 3 files, 1 of them by earlier runs; 0 refused\n")


def test_options_that_do_not_fit_are_refused(run: Run) -> None:
    assert "--output needs --json or --csv" in run("predict", "--output", "x", "y")[2]
    assert "exclude each other" in run("predict", "--csv", "--parquet", "x", "y")[2]
