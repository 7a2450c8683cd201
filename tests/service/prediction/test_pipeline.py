import asyncio
import contextlib
import multiprocessing
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import sqlalchemy as sa
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from service.dicom.radiograph import IDENTITY_VERSION
from service.errors import (
    ArtefactError,
    ConfigurationError,
    Conflict,
    InferenceFailed,
    MalformedDicom,
    NotFound,
    Overloaded,
    StorageFull,
    TooLarge,
)
from service.inference.session import Session
from service.objects.drawing import Drawing
from service.prediction import predictor
from service.prediction.decoders import Decoders
from service.prediction.pipeline import Pipeline
from service.prediction.predictor import Predictor
from service.settings import Limits, Model, Settings, Storage, Triage
from service.storage.incoming import Incoming
from service.storage.instances import Instances
from service.storage.outbox import Order
from service.storage.record import Record
from service.storage.records import Records
from service.storage.retention import Retention
from service.storage.tables import INSTANCES
from tests.factories import chest, dicom_bytes, encode, noise
from tests.service.serving import settings_for

T = TypeVar("T")
PLACES = 3
LIMITS = Limits(decode_workers=1, max_in_flight=PLACES, max_file_bytes=2**20)


class Harness:
    """A running pipeline and its event loop."""

    def __init__(self, settings: Settings) -> None:
        self.runner = asyncio.Runner()
        self.pipeline = Pipeline(settings)
        self._running = self.pipeline.running()
        self.folder = settings.storage.folder

    def __enter__(self) -> "Harness":
        self.do(self._running.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.do(lambda: self._running.__aexit__(None, None, None))
        self.runner.close()

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def wait() -> T:
            return await work()

        return self.runner.run(wait())

    def wait_until_ready(self) -> "Harness":
        async def wait() -> None:
            async with asyncio.timeout(300):  # on a busy machine; a start that fails is seen at once
                while True:
                    try:
                        return self.pipeline.check_ready()
                    except Overloaded:
                        assert self.pipeline.failure is None, self.pipeline.failure
                        await asyncio.sleep(0.02)

        self.do(wait)
        return self

    async def predict(self, data: bytes) -> Record:
        with contextlib.closing(self.pipeline.receive()) as arrived:
            arrived.write([data])
            return await self.pipeline.predict(arrived)

    def draw(self, id: str, drawing: Drawing) -> bytes:
        async def draw() -> bytes:
            return await self.pipeline.stored.draw(await self.pipeline.stored.get(id), drawing)

        return self.runner.run(draw())

    def leftovers(self) -> list[Path]:
        return list((self.folder / "instances").rglob("*.partial"))

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.folder / "instances").rglob("*.dcm")]


@pytest.fixture(scope="module")
def harness(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    with Harness(settings_for(artefact, tmp_path_factory.mktemp("data"), LIMITS)) as harness:
        yield harness.wait_until_ready()


def file(uid: str, seed: int = 0, **elements: str) -> bytes:
    return dicom_bytes(noise(seed=seed), SOPInstanceUID=uid, **elements)


def test_a_predicted_file_is_on_disk(harness: Harness) -> None:
    data = file("2.25.1")

    answer = harness.do(lambda: harness.predict(data))

    assert data in harness.files()
    assert harness.do(lambda: harness.pipeline.stored.get(answer.id)).prediction == answer.prediction
    assert answer.sop_instance_uid == "2.25.1"
    assert all(spent > 0 for stage, spent in vars(answer.prediction.timings_ms).items() if stage != "queue")


def test_the_same_file_again_returns_the_same_record(harness: Harness) -> None:
    before = len(harness.files())

    first, second = (harness.do(lambda: harness.predict(file("2.25.2"))) for _ in range(2))

    assert (first.id, first.prediction) == (second.id, second.prediction)
    assert len(harness.files()) == before + 1


def test_the_same_file_sent_concurrently_makes_one_record(harness: Harness) -> None:
    before = len(harness.files())

    async def at_once() -> list[str]:
        answers = await asyncio.gather(*(harness.predict(file("2.25.3")) for _ in range(4)))
        return [answer.id for answer in answers]

    assert len(set(harness.do(at_once))) == 1
    assert len(harness.files()) == before + 1


def test_other_pixels_under_the_same_uid_are_refused_and_not_stored(harness: Harness) -> None:
    first = harness.do(lambda: harness.predict(file("2.25.4")))
    before = len(harness.files())

    with pytest.raises(Conflict):
        harness.do(lambda: harness.predict(file("2.25.4", seed=1)))

    assert len(harness.files()) == before
    assert harness.do(lambda: harness.pipeline.stored.get(first.id)).prediction == first.prediction


def written_by_an_older_version(harness: Harness, uid: str) -> None:
    """Give an instance the version of the identity rule, and a hash, of an older version of the service."""
    values = {"display_sha256": "0" * 64, "identity_version": IDENTITY_VERSION - 1}
    with harness.pipeline.database.write() as connection:
        connection.execute(sa.update(INSTANCES).where(INSTANCES.c.sop_instance_uid == uid).values(values))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_an_instance_of_an_older_version_is_compared_by_its_file(harness: Harness, syntax: str) -> None:
    uid = f"{syntax}.42"
    first = harness.do(lambda: harness.predict(file(uid)))
    written_by_an_older_version(harness, uid)
    again = encode(chest(noise(), SOPInstanceUID=uid), syntax)

    assert harness.do(lambda: harness.predict(again)).id == first.id
    saved = harness.do(lambda: harness.pipeline.stored.get(first.id))
    assert (saved.display_sha256, saved.identity_version) == (first.display_sha256, IDENTITY_VERSION)


def test_other_pixels_conflict_with_an_instance_of_an_older_version(harness: Harness) -> None:
    first = harness.do(lambda: harness.predict(file("2.25.43")))
    written_by_an_older_version(harness, "2.25.43")

    with pytest.raises(Conflict):
        harness.do(lambda: harness.predict(file("2.25.43", seed=1)))
    assert harness.do(lambda: harness.predict(file("2.25.43"))).id == first.id


def test_an_image_whose_values_are_written_in_another_way_is_the_same(harness: Harness) -> None:
    """An archive may store it inverted, or as signed values: display values decide, where hashes differ."""
    pixels, window = noise(), {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    first = harness.do(lambda: harness.predict(dicom_bytes(pixels, SOPInstanceUID="2.25.46", **window)))
    shifted = {"PixelRepresentation": 1, "RescaleIntercept": 2048, "RescaleSlope": 1}
    signed = dicom_bytes((pixels.astype(np.int16) - 2048), SOPInstanceUID="2.25.46", **window, **shifted)
    other = dicom_bytes((pixels.astype(np.int16) - 2047), SOPInstanceUID="2.25.46", **window, **shifted)

    assert harness.do(lambda: harness.predict(signed)).id == first.id
    with pytest.raises(Conflict):
        harness.do(lambda: harness.predict(other))


@pytest.mark.parametrize("content", [None, b"not a DICOM file"])
def test_an_instance_of_an_older_version_whose_file_is_lost_conflicts(harness: Harness, content: bytes | None) -> None:
    uid = f"2.25.44{content is None:d}"
    first = harness.do(lambda: harness.predict(file(uid)))
    written_by_an_older_version(harness, uid)
    (path,) = (harness.folder / "instances").rglob(first.instance_file)
    path.unlink() if content is None else path.write_bytes(content)

    with pytest.raises(Conflict):
        harness.do(lambda: harness.predict(file(uid)))


@pytest.mark.parametrize("elements", [{"PatientID": "ANOTHER"}, {"StudyInstanceUID": "2.25.999"}])
def test_the_same_image_under_another_patient_or_study_is_refused(harness: Harness, elements: dict[str, str]) -> None:
    """If it were acknowledged, the correction would be lost: the record stays another patient's."""
    harness.do(lambda: harness.predict(file("2.25.41")))

    with pytest.raises(Conflict) as caught:
        harness.do(lambda: harness.predict(file("2.25.41", **elements)))

    assert caught.value.code == "identity_conflict"


def test_of_concurrent_files_with_one_uid_and_different_pixels_one_is_refused(harness: Harness) -> None:
    async def at_once() -> list[object]:
        both = (harness.predict(file("2.25.5", seed)) for seed in range(2))
        return await asyncio.gather(*both, return_exceptions=True)

    before = len(harness.files())

    assert sorted(type(outcome).__name__ for outcome in harness.do(at_once)) == ["Conflict", "Record"]
    assert len(harness.files()) == before + 1


def test_a_deleted_record_is_deleted_with_its_file(harness: Harness) -> None:
    data = file("2.25.6")
    id = harness.do(lambda: harness.predict(data)).id

    harness.do(lambda: harness.pipeline.stored.delete(id))

    assert data not in harness.files()
    for ask in (
        lambda: harness.pipeline.stored.get(id),
        lambda: harness.pipeline.stored.delete(id),
        lambda: harness.pipeline.stored.get(id),
    ):
        with pytest.raises(NotFound):
            harness.do(ask)
    assert harness.do(lambda: harness.predict(data)).id != id


def test_pages_follow_each_other_newest_first(harness: Harness) -> None:
    for number in range(3):
        harness.do(lambda uid=f"2.25.7{number}": harness.predict(file(uid)))

    first, cursor = harness.do(lambda: harness.pipeline.stored.list(2, None))
    second, _ = harness.do(lambda: harness.pipeline.stored.list(2, cursor))

    uids = [answer.sop_instance_uid for answer in (*first, *second)]
    assert uids[:3] == ["2.25.72", "2.25.71", "2.25.70"]
    assert len(set(uids)) == 4


def test_a_file_is_refused_when_all_places_are_taken(harness: Harness) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(PLACES):
            held.enter_context(harness.pipeline.admitted())
        with pytest.raises(Overloaded) as caught, harness.pipeline.admitted():
            pass
        assert caught.value.code == "overloaded"
    with harness.pipeline.admitted(), harness.pipeline.places.spare(10) as more:
        assert more == PLACES - 1
        with harness.pipeline.places.spare(1) as none:
            assert none == 0


def test_a_place_is_free_again_after_an_error(harness: Harness) -> None:
    for _ in range(PLACES + 1):
        with pytest.raises(MalformedDicom), harness.pipeline.admitted():
            harness.do(lambda: harness.predict(b"no DICOM"))


def test_a_file_over_the_limit_is_refused_before_it_is_read(harness: Harness) -> None:
    with pytest.raises(TooLarge) as caught:
        harness.do(lambda: harness.predict(bytes(2**20 + 1)))

    assert caught.value.code == "file_too_large"


@pytest.mark.parametrize("step", ["sync", "keep"])
def test_a_file_that_cannot_be_stored_is_not_acknowledged(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    uid = f"2.25.8{step == 'keep':d}0"

    def full(_self: Incoming) -> None:
        raise StorageFull("no space")

    monkeypatch.setattr(Incoming, step, full)
    with pytest.raises(StorageFull):
        harness.do(lambda: harness.predict(file(uid)))
    monkeypatch.undo()

    assert harness.leftovers() == []
    listed, _ = harness.do(lambda: harness.pipeline.stored.list(500, None))
    assert uid not in [answer.sop_instance_uid for answer in listed]
    assert harness.do(lambda: harness.predict(file(uid))).sop_instance_uid == uid


def test_with_too_little_disk_space_files_are_refused_and_records_can_be_read(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = harness.do(lambda: harness.predict(file("2.25.81")))
    before = len(harness.files())
    monkeypatch.setattr(harness.pipeline._instances, "_min_free_bytes", 2**62)

    with pytest.raises(StorageFull), harness.pipeline.accepting("key a", 1):
        pytest.fail("a place was given")
    with pytest.raises(StorageFull) as caught:
        harness.do(lambda: harness.predict(file("2.25.82")))

    assert caught.value.code == "low_disk"
    assert len(harness.files()) == before
    assert harness.do(lambda: harness.pipeline.stored.get(known.id)).prediction == known.prediction
    assert harness.draw(known.id, Drawing("image"))
    with harness.pipeline.admitted():
        pass


def test_records_that_are_too_old_are_deleted_after_the_start(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path, LIMITS)
    with Harness(settings) as harness:
        harness.wait_until_ready()
        record = harness.do(lambda: harness.predict(file("2.25.1")))
        assert harness.files()
    storage = settings.storage.model_copy(update={"keep_days": 1e-9})

    with Harness(settings.model_copy(update={"storage": storage})) as harness:
        deadline = time.monotonic() + 60
        while any(harness.folder.rglob("*.dcm")):
            assert time.monotonic() < deadline
            harness.do(lambda: asyncio.sleep(0.02))

        with pytest.raises(NotFound):
            harness.do(lambda: harness.pipeline.stored.get(record.id))


def test_a_file_is_not_stored_if_the_network_fails(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Session, _canvases: object) -> None:
        raise InferenceFailed("out of memory")

    before = len(harness.files())
    monkeypatch.setattr(Session, "run", fail)
    with pytest.raises(InferenceFailed):
        harness.do(lambda: harness.predict(file("2.25.9")))
    monkeypatch.undo()

    assert len(harness.files()) == before
    assert harness.do(lambda: harness.predict(file("2.25.9"))).id


def test_a_cancelled_request_is_stored_completely_or_not_at_all(harness: Harness) -> None:
    async def give_up(after: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(harness.predict(file("2.25.10")), after)

    for after in (0.0, 0.005, 0.01, 0.02, 0.5):
        harness.do(lambda after=after: give_up(after))

    answer = harness.do(lambda: harness.predict(file("2.25.10")))
    assert harness.draw(answer.id, Drawing("image"))


def test_only_the_owner_can_read_stored_files(artefact: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Harness(settings_for(artefact, tmp_path / "fresh", LIMITS)) as harness:
            harness.wait_until_ready().do(lambda: harness.predict(file("2.25.1")))
            paths = [harness.folder, *harness.folder.rglob("*")]
            assert {"triage.sqlite", "triage.sqlite-wal", "instances"} <= {path.name for path in paths}
            assert [path for path in paths if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


@pytest.mark.parametrize("part", ["overlay", "image", "heat_map", "crop"])
def test_each_part_is_drawn_as_png(harness: Harness, part: str) -> None:
    id = harness.do(lambda: harness.predict(file("2.25.11"))).id

    assert harness.draw(id, Drawing(part)).startswith(b"\x89PNG")


def test_a_class_map_of_an_unknown_finding_is_not_found(harness: Harness) -> None:
    id = harness.do(lambda: harness.predict(file("2.25.12"))).id
    heat, mass = (harness.draw(id, Drawing(finding=finding)) for finding in (None, "Mass"))

    assert heat != mass
    with pytest.raises(NotFound) as caught:
        harness.draw(id, Drawing(finding="Tuberculosis"))
    assert caught.value.code == "unknown_finding"


@pytest.mark.parametrize("swept", [True, False])
def test_a_file_that_was_swept_while_the_process_was_suspended_is_not_acknowledged(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, swept: bool
) -> None:
    """Between the file and its record the process is stopped for hours, and another replica sweeps meanwhile."""
    data, before = file("2.25.77", seed=77), harness.files()
    save = Records.save

    def save_late(records: Records, record: Record, orders: Sequence[Order], backfilled: bool) -> Record:
        monkeypatch.setattr(Incoming, "age", 7200.0, raising=False)
        if swept:
            (harness.folder / "instances" / record.instance_file[:2] / record.instance_file).unlink()
        return save(records, record, orders, backfilled)

    with monkeypatch.context() as patched:
        patched.setattr(Records, "save", save_late)
        if swept:
            with pytest.raises(Overloaded, match="suspended"):
                harness.do(lambda: harness.predict(data))
            assert harness.files() == before
        else:
            harness.do(lambda: harness.predict(data))
    record = harness.do(lambda: harness.predict(data))
    assert harness.do(lambda: harness.pipeline.stored.instance(record)) == data


def test_after_a_restart_records_are_there_and_orphans_are_deleted(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path, LIMITS)
    with Harness(settings) as harness:
        with pytest.raises(Overloaded) as caught, harness.pipeline.admitted():
            pass
        assert caught.value.code == "not_ready"
        first = harness.wait_until_ready().do(lambda: harness.predict(file("2.25.1")))
    orphan = tmp_path / "instances" / "ab" / f"{'ab' * 16}.dcm"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left behind by a crash")
    os.utime(orphan, (0, 0))

    with Harness(settings) as harness:
        again = harness.wait_until_ready().do(lambda: harness.pipeline.stored.get(first.id))

        assert again.prediction == first.prediction
        assert not orphan.exists()


def test_a_stop_during_the_sweep_of_the_start_waits_for_it_and_starts_nothing(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeping, go_on = threading.Event(), threading.Event()
    started: list[Predictor] = []

    def sweep(_: Retention) -> int:
        sweeping.set()
        assert go_on.wait(60)
        return 0

    async def start(self: Predictor) -> None:
        started.append(self)

    monkeypatch.setattr(Retention, "sweep", sweep)
    monkeypatch.setattr(Predictor, "start", start)

    async def stop() -> None:
        running = Pipeline(settings_for(artefact, tmp_path, LIMITS)).running()
        await running.__aenter__()
        assert await asyncio.to_thread(sweeping.wait, 60)
        stopping = asyncio.ensure_future(running.__aexit__(None, None, None))
        await asyncio.wait([stopping], timeout=0.3)
        assert not stopping.done()
        go_on.set()
        await stopping

    try:
        asyncio.run(stop())
    finally:
        go_on.set()
    assert started == []


def test_a_stop_while_network_and_decoders_start_waits_for_neither(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    testing, stopped = threading.Event(), threading.Event()

    def hangs(*_: object) -> None:
        testing.set()
        assert stopped.wait(60)

    monkeypatch.setattr(predictor, "proven_session", hangs)
    before = {process.pid for process in multiprocessing.active_children()}

    async def stop() -> None:
        try:
            async with asyncio.timeout(40), Pipeline(settings_for(artefact, tmp_path, LIMITS)).running():
                await asyncio.to_thread(testing.wait, 20)
        finally:
            stopped.set()

    asyncio.run(stop())
    assert {process.pid for process in multiprocessing.active_children()} <= before


def test_after_a_failed_start_files_are_refused_with_the_reason(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Session, _max_batch: int) -> None:
        raise ArtefactError("fusion is off by 0.5")

    monkeypatch.setattr(Session, "prove", fail)
    with Harness(settings_for(artefact, tmp_path, LIMITS)) as harness:
        harness.do(lambda: asyncio.wait_for(_failed(harness.pipeline), 60))
        with pytest.raises(Overloaded, match="fusion is off") as caught, harness.pipeline.admitted():
            pass

        assert isinstance(harness.pipeline.failure, ArtefactError)
        assert caught.value.code == "not_ready"


async def _failed(pipeline: Pipeline) -> None:
    while pipeline.failure is None:
        await asyncio.sleep(0.02)


def test_an_unexpected_error_at_the_start_is_reported_without_its_text(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr(Instances, "sweep", fail)
    with Harness(settings_for(artefact, tmp_path, LIMITS)) as harness:
        harness.do(lambda: asyncio.wait_for(_failed(harness.pipeline), 60))

        assert harness.pipeline.failure is not None
        assert harness.pipeline.failure.message == "the start failed: ValueError"


def test_an_invalid_artefact_or_setting_is_refused_at_once(artefact: Path, tmp_path: Path) -> None:
    no_folder = tmp_path / "file"
    no_folder.touch()
    good = settings_for(artefact, tmp_path)
    for wrong, kind in (
        ({"model": Model(path=tmp_path / "none.onnx")}, ArtefactError),
        ({"model": Model(path=artefact, sha256="0" * 64)}, ArtefactError),
        ({"triage": Triage(stat=("Scoliosis",))}, ConfigurationError),
        ({"storage": Storage(folder=no_folder)}, ConfigurationError),
    ):
        with pytest.raises(kind):
            Pipeline(good.model_copy(update=wrong))


def test_a_service_does_not_start_on_the_files_of_another_database(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "instances").mkdir()
    (tmp_path / "instances" / "owner").write_text("0" * 32 + "\n")
    with pytest.raises(ConfigurationError, match="another database"):
        Pipeline(settings_for(artefact, tmp_path))


def test_decoders_that_cannot_start_are_a_configuration_error(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise MalformedDicom("the decoder died", "decoder_failed")

    monkeypatch.setattr(Decoders, "prepare", die)
    with Harness(settings_for(artefact, tmp_path, LIMITS)) as harness:
        harness.do(lambda: asyncio.wait_for(_failed(harness.pipeline), 60))

        assert isinstance(harness.pipeline.failure, ConfigurationError)
        assert "TRIAGE_LIMITS__DECODE_MEMORY_BYTES" in harness.pipeline.failure.message


def test_another_patients_file_is_refused_by_a_newer_artefact_too(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.do(lambda: harness.predict(file("2.25.991", PatientID="1")))
    monkeypatch.setattr(harness.pipeline._keeper, "_artefact_sha256", "b" * 64)
    with pytest.raises(Conflict) as caught:
        harness.do(lambda: harness.predict(file("2.25.991", PatientID="2")))
    assert caught.value.code == "identity_conflict"
