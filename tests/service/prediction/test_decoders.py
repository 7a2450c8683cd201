import asyncio
import multiprocessing
import os
import re
import signal
import struct
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from service.dicom.canvas import canvas
from service.dicom.grid import grid
from service.dicom.metadata import metadata
from service.dicom.policy import Policy
from service.dicom.radiograph import display_values, radiograph, unwindowed
from service.dicom.reader import Bounds, read
from service.dicom.vocabulary import Meaning
from service.errors import (
    DecodeTimeout,
    InputError,
    InvalidRequest,
    MalformedDicom,
    Overloaded,
    TriageError,
    UnsuitableImage,
)
from service.objects.overlay import image_png
from service.prediction.decoders import Decoders
from tests.factories import chest, compressed_dataset, dicom_bytes, encode, noise, ramp
from tests.service.prediction.pools import pool

PIXELS = ramp(260, 300)
DATA = dicom_bytes(PIXELS, PixelAspectRatio=[2, 1])


@pytest.fixture(scope="module")
def decoders():
    with pool() as decoders:
        yield decoders


def works(decoders: Decoders) -> bool:
    return asyncio.run(decoders.prepare(DATA, 64, "stretch")).canvas.shape == (1, 64, 64)


@pytest.mark.parametrize("rule", ["stretch", "pad"])
def test_prepare_equals_the_pixel_path_in_this_process(decoders, rule):
    prepared = asyncio.run(decoders.prepare(DATA, 96, rule))
    alone = radiograph(DATA)
    assert np.array_equal(prepared.canvas, canvas(alone.values, 96, rule, alone.header.aspect))
    assert prepared.header.display_sha256 == alone.header.display_sha256
    assert prepared.header.flags == alone.header.flags
    assert list(prepared.header.timings_ms) == ["read", "decode", "prepare"]


def test_drawing_gets_eight_bit_display_values(decoders):
    view = np.frombuffer(asyncio.run(decoders.render(DATA, np.ndarray.tobytes)), np.uint8).reshape(PIXELS.shape)
    assert np.abs(view - PIXELS / 4095 * 255).max() <= 0.5 + 1e-4


def test_errors_while_drawing_are_raised_unchanged(decoders):
    with pytest.raises(InvalidRequest) as caught:
        asyncio.run(decoders.render(DATA, partial(image_png, width=10**6)))
    assert caught.value.message.startswith("width ")
    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders.render(DATA, partial(np.resize, new_shape=(2**32,))))
    assert refusal.value.code == "decoder_failed"
    with pytest.raises(MalformedDicom) as malformed:
        asyncio.run(decoders.render(b"nothing", image_png))
    assert malformed.value.code == "not_dicom"
    assert works(decoders)


def describe(dataset, view):
    return f"{dataset.PatientID} {view().shape} {view().dtype} {view().max()}".encode()


def refuse(_dataset, _view):
    raise InvalidRequest("no")


def fail(dataset, _view):
    raise ValueError(f"{dataset.PatientName}")


def exhaust(_dataset, _view):
    return bytes(2**40)


def test_derive_passes_the_data_set_and_its_display_values(decoders):
    assert asyncio.run(decoders.derive(DATA, describe)) == b"CANARY-17 (260, 300) uint8 255"


def test_errors_while_deriving_quote_no_value(decoders):
    with pytest.raises(InvalidRequest, match="no"):
        asyncio.run(decoders.derive(DATA, refuse))
    with pytest.raises(MalformedDicom, match="ValueError") as caught:
        asyncio.run(decoders.derive(DATA, fail))
    assert (caught.value.code, "Canary" in caught.value.message) == ("value_invalid", False)
    with pytest.raises(MalformedDicom) as caught:
        asyncio.run(decoders.derive(DATA, exhaust))
    assert caught.value.code == "decoder_failed"
    with pytest.raises(MalformedDicom):
        asyncio.run(decoders.derive(DATA[:2000], describe))
    assert works(decoders)


def test_refusals_keep_their_reasons_across_processes(decoders):
    with pytest.raises(UnsuitableImage) as refusal:
        asyncio.run(decoders.prepare(dicom_bytes(PIXELS, BodyPartExamined="HIP", ViewPosition="LL"), 64, "stretch"))
    assert [reason.code for reason in refusal.value.reasons] == ["body_part_unsuitable", "view_unsuitable"]
    with pytest.raises(MalformedDicom) as malformed:
        asyncio.run(decoders.prepare(b"nothing", 64, "stretch"))
    assert malformed.value.code == "not_dicom"
    assert works(decoders)


def test_the_policy_of_the_site_is_that_of_the_processes():
    policy = Policy(words=((Meaning.CHEST, "Röhre"),), minimum_age=18)
    child, adult = (dicom_bytes(PIXELS, BodyPartExamined="ROHRE", PatientAge=age) for age in ("017Y", "018Y"))

    with pool(policy=policy) as site:
        assert "paediatric" not in asyncio.run(site.prepare(adult, 64, "stretch")).header.flags
        with pytest.raises(UnsuitableImage) as refusal:
            asyncio.run(site.prepare(child, 64, "stretch"))
    assert [reason.code for reason in refusal.value.reasons] == ["patient_too_young"]


@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_a_stored_file_is_shown_though_the_gate_would_refuse_it_today(decoders):
    refused = dicom_bytes(PIXELS, ViewPosition=None, SeriesDescription="Thorax seitlich", PixelAspectRatio=[2, 1])
    with pytest.raises(UnsuitableImage):
        asyncio.run(decoders.prepare(refused, 64, "stretch"))

    shown = asyncio.run(decoders.render(refused, np.ndarray.tobytes))

    assert shown == asyncio.run(decoders.render(DATA, np.ndarray.tobytes))
    assert np.array_equal(display_values(refused), radiograph(DATA).values)
    assert np.array_equal(asyncio.run(decoders.unwindowed(refused)).codes, PIXELS)


def test_concurrent_files_get_their_own_canvas(decoders):
    def almost_flat(grey: int) -> np.ndarray:
        pixels = np.full((256, 256), grey, np.uint8)
        pixels[0, 0] += 1  # an image of one grey is refused
        return pixels

    async def many() -> list[float]:
        files = [dicom_bytes(almost_flat(grey)) for grey in range(0, 250, 25)]
        prepared = await asyncio.gather(*(decoders.prepare(file, 8, "stretch") for file in files))
        return [round(float(item.canvas.mean() * 255)) for item in prepared]

    assert asyncio.run(many()) == list(range(0, 250, 25))


def test_a_worker_imports_neither_network_nor_web_libraries(decoders):
    asyncio.run(decoders.render(DATA, image_png))
    loaded = asyncio.run(decoders._run(eval, ("set(__import__('sys').modules)",)))
    assert "pydicom" in loaded
    assert not loaded & {"torch", "onnxruntime", "fastapi", "starlette", "pydantic", "sqlalchemy", "model"}


# What goes wrong in a worker: the next good file is read...


def test_a_worker_that_takes_too_long_is_replaced():
    with pool(seconds=1) as decoders:
        with pytest.raises(DecodeTimeout):
            asyncio.run(decoders._run(time.sleep, (60,)))
        decoders._seconds = 60  # it was short for the sake of the one before
        assert works(decoders)


@pytest.mark.parametrize("call", ["render", "derive", "unwindowed", "examine"])
def test_a_timeout_on_a_stored_file_is_load_not_a_fault_of_the_file(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    async def late(*_: object) -> None:
        raise DecodeTimeout("late")

    with pool(seconds=1) as decoders:
        monkeypatch.setattr(decoders, "_run", late)
        with pytest.raises(Overloaded) as refusal:
            asyncio.run(getattr(decoders, call)(DATA, *([] if call == "unwindowed" else [image_png])))
        with pytest.raises(DecodeTimeout):
            asyncio.run(decoders.prepare(DATA, 64, "stretch"))
    assert refusal.value.code == "rendering_timeout"


def test_a_worker_stuck_in_c_code_is_replaced():
    with pool(seconds=1) as decoders:
        with pytest.raises(DecodeTimeout):
            asyncio.run(decoders._run(pow, (3, 10**9)))
        decoders._seconds = 60  # it was short for the sake of the one before
        assert works(decoders)


def test_a_file_that_takes_too_much_memory_is_refused(decoders):
    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders._run(bytearray, (4 * 2**30,)))
    assert refusal.value.code == "decoder_failed"
    assert works(decoders)


def test_a_file_that_ends_its_worker_is_refused(decoders):
    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders._run(os._exit, (9,)))
    assert refusal.value.code == "decoder_failed"
    assert works(decoders)


def test_a_worker_that_is_killed_while_idle_is_replaced(decoders):
    assert works(decoders)
    for _ in range(2):
        os.kill(asyncio.run(decoders._run(os.getpid, ())), signal.SIGKILL)
        assert works(decoders)
        os.kill(asyncio.run(decoders._run(os.getpid, ())), signal.SIGKILL)
        time.sleep(0.5)
        assert works(decoders)


def test_a_panic_of_the_rle_decoder_refuses_the_file_and_keeps_the_worker(decoders):
    plane = b"\x81\x07" * 2048  # PS3.5 G.3.1: 128 times the byte
    longer = b"\x81\x07" * 2047 + b"\x82\x07" + b"\xff\x07"  # 127 times, and twice
    header = struct.pack("<16L", 2, 64, 64 + len(plane), *[0] * 13)
    dataset = compressed_dataset(chest(noise(512, 512)), RLELossless)
    dataset.PixelData = encapsulate([header + plane + longer])
    worker = asyncio.run(decoders._run(os.getpid, ()))

    with pytest.raises(MalformedDicom) as refusal:
        asyncio.run(decoders.prepare(encode(dataset, RLELossless), 64, "stretch"))

    assert refusal.value.code == "pixel_data_corrupt"
    assert asyncio.run(decoders._run(os.getpid, ())) == worker


@pytest.mark.realdata
@pytest.mark.parametrize("syntax", ["JPLL", "JPLY", "JLSL", "J2KI", "RLE"])
def test_damaged_streams_do_not_end_the_worker(decoders, realdata, syntax):
    dataset = read((realdata / "dicom" / f"neg_fuji_cr_hip_mono2_10bit_RG2_{syntax}.dcm").read_bytes())
    dataset.BodyPartExamined, dataset.ViewPosition = "CHEST", "PA"
    stream = BytesIO()
    dcmwrite(stream, dataset)
    data, random = stream.getvalue(), np.random.default_rng(0)
    worker = asyncio.run(decoders._run(os.getpid, ()))
    for _ in range(6):
        changed = bytearray(data)
        for position in random.integers(len(data) - len(dataset.PixelData), len(data), 50):
            changed[position] = random.integers(256)
        with suppress(InputError):
            asyncio.run(decoders.prepare(bytes(changed), 64, "stretch"))
    assert asyncio.run(decoders._run(os.getpid, ())) == worker
    assert works(decoders)


@pytest.mark.realdata
def test_what_is_read_of_real_files_comes_back_from_the_process(decoders, realdata):
    """Values of pydicom's own types would not: only plain ones are received."""
    accepted = 0
    for path in sorted((realdata / "dicom").glob("*.dcm")):
        data = path.read_bytes()
        try:
            here = radiograph(data)
        except TriageError as refusal:
            with pytest.raises(type(refusal), match=re.escape(refusal.message)):
                asyncio.run(decoders.prepare(path, 64, "stretch"))
            continue
        accepted += 1
        there = asyncio.run(decoders.prepare(path, 64, "stretch")).header
        assert replace(there, timings_ms={}) == replace(here.header, timings_ms={})
        assert np.array_equal(asyncio.run(decoders.unwindowed(path)).codes, unwindowed(data).codes)
        assert asyncio.run(decoders.examine(path, grid)) == grid(data, Bounds())
        assert asyncio.run(decoders.examine(path, metadata)) == metadata(data, Bounds())
    assert accepted


def test_a_cancelled_request_stops_its_worker(decoders):
    async def give_up() -> None:
        request = asyncio.create_task(decoders._run(time.sleep, (60,)))
        await asyncio.sleep(0.5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(give_up())
    assert works(decoders)


def test_close_leaves_no_process():
    before = set(multiprocessing.active_children())
    decoders = pool(workers=2)
    assert works(decoders)
    assert set(multiprocessing.active_children()) > before
    decoders.close()
    assert set(multiprocessing.active_children()) == before
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(decoders.prepare(DATA, 64, "stretch"))


def test_workers_never_receive_interrupts():
    mask = ("{int(number) for number in __import__('signal').pthread_sigmask(0, ())}",)
    with pool() as decoders:
        assert signal.SIGINT in asyncio.run(decoders._run(eval, mask))
        with suppress(MalformedDicom):
            asyncio.run(decoders._run(os._exit, (9,)))
        assert signal.SIGINT in asyncio.run(decoders._run(eval, mask))  # its successor's, too
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_a_pool_that_never_worked_can_be_closed():
    pool().close()


def test_unwindowed_equals_the_pixel_path_in_this_process(decoders):
    image = asyncio.run(decoders.unwindowed(DATA))
    alone = unwindowed(DATA)
    assert np.array_equal(image.codes, alone.codes)
    assert np.array_equal(image.codes, PIXELS)
    assert (image.slope, image.intercept, image.windows, image.aspect) == (1, 0, alone.windows, 2)
    with pytest.raises(MalformedDicom):
        asyncio.run(decoders.unwindowed(b"nothing"))
