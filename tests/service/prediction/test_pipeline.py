import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

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
from service.prediction.decoders import Decoders
from service.prediction.pipeline import Pipeline
from service.settings import Limits, Model, Settings, Storage, Triage
from service.storage.instances import Instances
from tests.factories import dicom_bytes, noise
from tests.service.serving import settings_for

T = TypeVar("T")
PLACES = 3
LIMITS = Limits(decode_workers=1, max_in_flight=PLACES, max_file_bytes=2**20)


class House:
    """A pipeline that runs, and the loop it runs on."""

    def __init__(self, settings: Settings) -> None:
        self.runner = asyncio.Runner()
        self.pipeline = Pipeline(settings)
        self._running = self.pipeline.running()
        self.folder = settings.storage.folder

    def __enter__(self) -> "House":
        self.do(self._running.__aenter__)
        return self

    def __exit__(self, *_: object) -> None:
        self.do(lambda: self._running.__aexit__(None, None, None))
        self.runner.close()

    def do(self, work: Callable[[], Awaitable[T]]) -> T:
        async def wait() -> T:
            return await work()

        return self.runner.run(wait())

    def wait_until_ready(self) -> "House":
        async def wait() -> None:
            async with asyncio.timeout(60):
                while True:
                    try:
                        return self.pipeline.check_ready()
                    except Overloaded:
                        assert self.pipeline.failure is None, self.pipeline.failure
                        await asyncio.sleep(0.02)

        self.do(wait)
        return self

    def draw(self, id: str, drawing: Drawing) -> bytes:
        async def draw() -> bytes:
            return await self.pipeline.stored.draw(await self.pipeline.stored.get(id), drawing)

        return self.runner.run(draw())

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in (self.folder / "instances").rglob("*.dcm")]


@pytest.fixture(scope="module")
def house(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with House(settings_for(artefact, tmp_path_factory.mktemp("data"), LIMITS)) as house:
        yield house.wait_until_ready()


def file(uid: str, seed: int = 0, **elements: str) -> bytes:
    return dicom_bytes(noise(seed=seed), SOPInstanceUID=uid, **elements)


def test_an_answer_is_on_disk(house: House) -> None:
    data = file("2.25.1")

    answer = house.do(lambda: house.pipeline.predict(data))

    assert data in house.files()
    assert house.do(lambda: house.pipeline.stored.get(answer.id)).prediction == answer.prediction
    assert answer.sop_instance_uid == "2.25.1"
    assert all(spent > 0 for stage, spent in vars(answer.prediction.timings_ms).items() if stage != "queue")


def test_the_same_again_is_the_same_record(house: House) -> None:
    before = len(house.files())

    first, second = (house.do(lambda: house.pipeline.predict(file("2.25.2"))) for _ in range(2))

    assert (first.id, first.prediction) == (second.id, second.prediction)
    assert len(house.files()) == before + 1


def test_the_same_at_the_same_time_is_one_record(house: House) -> None:
    before = len(house.files())

    async def at_once() -> list[str]:
        answers = await asyncio.gather(*(house.pipeline.predict(file("2.25.3")) for _ in range(4)))
        return [answer.id for answer in answers]

    assert len(set(house.do(at_once))) == 1
    assert len(house.files()) == before + 1


def test_other_pixels_under_the_same_uid_are_refused_and_leave_nothing(house: House) -> None:
    first = house.do(lambda: house.pipeline.predict(file("2.25.4")))
    before = len(house.files())

    with pytest.raises(Conflict):
        house.do(lambda: house.pipeline.predict(file("2.25.4", seed=1)))

    assert len(house.files()) == before
    assert house.do(lambda: house.pipeline.stored.get(first.id)).prediction == first.prediction


@pytest.mark.parametrize("elements", [{"PatientID": "ANOTHER"}, {"StudyInstanceUID": "2.25.999"}])
def test_a_correction_of_who_it_is_of_is_not_taken_for_the_same(house: House, elements: dict[str, str]) -> None:
    """Acknowledged, it would be gone: the answer stays another patient's."""
    house.do(lambda: house.pipeline.predict(file("2.25.41")))

    with pytest.raises(Conflict) as caught:
        house.do(lambda: house.pipeline.predict(file("2.25.41", **elements)))

    assert caught.value.code == "identity_conflict"


def test_two_at_once_with_other_pixels_one_is_refused(house: House) -> None:
    async def at_once() -> list[object]:
        both = (house.pipeline.predict(file("2.25.5", seed)) for seed in range(2))
        return await asyncio.gather(*both, return_exceptions=True)

    before = len(house.files())

    assert sorted(type(outcome).__name__ for outcome in house.do(at_once)) == ["Answer", "Conflict"]
    assert len(house.files()) == before + 1


def test_a_deleted_record_is_gone_with_its_file(house: House) -> None:
    data = file("2.25.6")
    id = house.do(lambda: house.pipeline.predict(data)).id

    house.do(lambda: house.pipeline.stored.delete(id))

    assert data not in house.files()
    for ask in (
        lambda: house.pipeline.stored.get(id),
        lambda: house.pipeline.stored.delete(id),
        lambda: house.pipeline.stored.get(id),
    ):
        with pytest.raises(NotFound):
            house.do(ask)
    assert house.do(lambda: house.pipeline.predict(data)).id != id


def test_pages_follow_each_other_newest_first(house: House) -> None:
    for number in range(3):
        house.do(lambda uid=f"2.25.7{number}": house.pipeline.predict(file(uid)))

    first, cursor = house.do(lambda: house.pipeline.stored.list(2, None))
    second, _ = house.do(lambda: house.pipeline.stored.list(2, cursor))

    uids = [answer.sop_instance_uid for answer in (*first, *second)]
    assert uids[:3] == ["2.25.72", "2.25.71", "2.25.70"]
    assert len(set(uids)) == 4


def test_what_is_over_the_places_is_refused(house: House) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(PLACES):
            held.enter_context(house.pipeline.admitted())
        with pytest.raises(Overloaded) as caught, house.pipeline.admitted():
            pass
        assert caught.value.code == "overloaded"
    with house.pipeline.admitted(), house.pipeline.spare(10) as more:
        assert more == PLACES - 1
        with house.pipeline.spare(1) as none:
            assert none == 0


def test_a_place_is_given_back_after_an_error(house: House) -> None:
    for _ in range(PLACES + 1):
        with pytest.raises(MalformedDicom), house.pipeline.admitted():
            house.do(lambda: house.pipeline.predict(b"no DICOM"))


def test_a_file_over_the_limit_is_refused_before_it_is_read(house: House) -> None:
    with pytest.raises(TooLarge) as caught:
        house.do(lambda: house.pipeline.predict(bytes(2**20 + 1)))

    assert caught.value.code == "file_too_large"


def test_what_cannot_be_stored_is_not_acknowledged(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Instances, _data: bytes) -> str:
        raise StorageFull("no space")

    monkeypatch.setattr(Instances, "put", full)
    with pytest.raises(StorageFull):
        house.do(lambda: house.pipeline.predict(file("2.25.8")))
    monkeypatch.undo()

    listed, _ = house.do(lambda: house.pipeline.stored.list(500, None))
    assert "2.25.8" not in [answer.sop_instance_uid for answer in listed]
    assert house.do(lambda: house.pipeline.predict(file("2.25.8"))).sop_instance_uid == "2.25.8"


def test_below_the_watermark_nothing_is_taken_and_all_is_given(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    known = house.do(lambda: house.pipeline.predict(file("2.25.81")))
    before = len(house.files())
    monkeypatch.setattr(house.pipeline._instances, "_min_free_bytes", 2**62)

    with pytest.raises(StorageFull), house.pipeline.accepting():
        pytest.fail("let in")
    with pytest.raises(StorageFull) as caught:
        house.do(lambda: house.pipeline.predict(file("2.25.82")))

    assert caught.value.code == "low_disk"
    assert len(house.files()) == before
    assert house.do(lambda: house.pipeline.stored.get(known.id)).prediction == known.prediction
    assert house.draw(known.id, Drawing("image"))
    with house.pipeline.admitted():
        pass


def test_what_is_too_old_is_gone_soon_after_the_start(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path, LIMITS)
    with House(settings) as house:
        house.wait_until_ready()
        kept = house.do(lambda: house.pipeline.predict(file("2.25.1")))
        assert house.files()
    storage = settings.storage.model_copy(update={"keep_days": 1e-9})

    with House(settings.model_copy(update={"storage": storage})) as house:
        until = time.monotonic() + 60
        while house.files():
            assert time.monotonic() < until
            house.do(lambda: asyncio.sleep(0.02))

        with pytest.raises(NotFound):
            house.do(lambda: house.pipeline.stored.get(kept.id))


def test_a_network_that_fails_leaves_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: Session, _canvases: object) -> None:
        raise InferenceFailed("out of memory")

    before = len(house.files())
    monkeypatch.setattr(Session, "run", fail)
    with pytest.raises(InferenceFailed):
        house.do(lambda: house.pipeline.predict(file("2.25.9")))
    monkeypatch.undo()

    assert len(house.files()) == before
    assert house.do(lambda: house.pipeline.predict(file("2.25.9"))).id


def test_a_request_that_is_given_up_is_kept_or_not(house: House) -> None:
    async def give_up(after: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(house.pipeline.predict(file("2.25.10")), after)

    for after in (0.0, 0.005, 0.01, 0.02, 0.5):
        house.do(lambda after=after: give_up(after))

    answer = house.do(lambda: house.pipeline.predict(file("2.25.10")))
    assert house.draw(answer.id, Drawing("image"))


def test_nobody_else_reads_what_is_kept(artefact: Path, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with House(settings_for(artefact, tmp_path / "fresh", LIMITS)) as house:
            house.wait_until_ready().do(lambda: house.pipeline.predict(file("2.25.1")))
            kept = [house.folder, *house.folder.rglob("*")]
            assert {"triage.sqlite", "triage.sqlite-wal", "instances"} <= {path.name for path in kept}
            assert [path for path in kept if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


@pytest.mark.parametrize("part", ["overlay", "image", "heat_map", "crop"])
def test_each_part_is_a_picture(house: House, part: str) -> None:
    id = house.do(lambda: house.pipeline.predict(file("2.25.11"))).id

    assert house.draw(id, Drawing(part)).startswith(b"\x89PNG")


def test_a_class_map_is_drawn_only_of_a_finding_there_is(house: House) -> None:
    id = house.do(lambda: house.pipeline.predict(file("2.25.12"))).id
    heat, mass = (house.draw(id, Drawing(finding=one)) for one in (None, "Mass"))

    assert heat != mass
    with pytest.raises(NotFound) as caught:
        house.draw(id, Drawing(finding="Tuberculosis"))
    assert caught.value.code == "unknown_finding"


def test_records_survive_and_files_without_one_do_not(artefact: Path, tmp_path: Path) -> None:
    settings = settings_for(artefact, tmp_path, LIMITS)
    with House(settings) as house:
        with pytest.raises(Overloaded) as caught, house.pipeline.admitted():
            pass
        assert caught.value.code == "not_ready"
        first = house.wait_until_ready().do(lambda: house.pipeline.predict(file("2.25.1")))
    orphan = tmp_path / "instances" / "ab" / f"{'ab' * 16}.dcm"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"left behind by a crash")
    os.utime(orphan, (0, 0))

    with House(settings) as house:
        again = house.wait_until_ready().do(lambda: house.pipeline.stored.get(first.id))

        assert again.prediction == first.prediction
        assert not orphan.exists()


def test_a_start_that_fails_says_why_and_admits_nothing(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_self: Session, _max_batch: int) -> None:
        raise ArtefactError("fusion is off by 0.5")

    monkeypatch.setattr(Session, "prove", fail)
    with House(settings_for(artefact, tmp_path, LIMITS)) as house:
        house.do(lambda: asyncio.wait_for(_failed(house.pipeline), 60))
        with pytest.raises(Overloaded, match="fusion is off") as caught, house.pipeline.admitted():
            pass

        assert isinstance(house.pipeline.failure, ArtefactError)
        assert caught.value.code == "not_ready"


async def _failed(pipeline: Pipeline) -> None:
    while pipeline.failure is None:
        await asyncio.sleep(0.02)


def test_an_unexpected_error_at_the_start_is_told_without_its_text(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret")

    monkeypatch.setattr(Instances, "sweep", fail)
    with House(settings_for(artefact, tmp_path, LIMITS)) as house:
        house.do(lambda: asyncio.wait_for(_failed(house.pipeline), 60))

        assert house.pipeline.failure is not None
        assert house.pipeline.failure.message == "the start failed: ValueError"


def test_what_keeps_it_from_starting_is_an_error_of_its_own(artefact: Path, tmp_path: Path) -> None:
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


def test_decoders_that_cannot_start_are_a_wrong_setting(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise MalformedDicom("the decoder died", "decoder_failed")

    monkeypatch.setattr(Decoders, "prepare", die)
    with House(settings_for(artefact, tmp_path, LIMITS)) as house:
        house.do(lambda: asyncio.wait_for(_failed(house.pipeline), 60))

        assert isinstance(house.pipeline.failure, ConfigurationError)
        assert "TRIAGE_LIMITS__DECODE_MEMORY_BYTES" in house.pipeline.failure.message
