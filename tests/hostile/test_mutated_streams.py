"""Code streams cut and changed at random: each is refused as a fault of the file, or is a picture of the right size.

Coverage-guided inputs of the same kind are `make fuzz`'s; these run in every test run, with the same answers each time.
"""

import asyncio
from collections.abc import Iterator

import numpy as np
import pytest

from service.dicom.decoder import decode
from service.dicom.reader import Bounds, read
from service.errors import InputError
from service.prediction.decoders import Decoders
from tests.hostile.code_streams import SEEDS, Seed
from tests.service.prediction.pools import pool

EACH = 20  # inputs of each kind and codec
LOSSY = {"JPEG, 8 bits", "JPEG, 12 bits", "JPEG-LS, near", "JPEG 2000, lossy", "HTJ2K, lossy"}


def stored_values(data: bytes, bounds: Bounds) -> np.ndarray:
    return decode(read(data, bounds))


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with pool(seconds=60) as decoders:
        yield decoders


def mutations(seed: Seed) -> Iterator[bytes]:
    """Cut, flip one bit near the start, change many bytes anywhere, and repeat or leave out a part."""
    random, stream = np.random.default_rng(len(seed.stream)), seed.stream
    size = len(stream)
    for position in np.linspace(0, size - 1, EACH).astype(int):
        yield stream[:position]
        yield stream[:position] + stream[-2:]  # with an end
    for _ in range(EACH):
        changed = bytearray(stream)
        changed[random.integers(min(size, 200))] ^= 1 << random.integers(8)
        yield bytes(changed)
        for position in random.integers(0, size, random.integers(1, 30)):
            changed[position] = random.integers(256)
        yield bytes(changed)
        start, end = sorted(random.integers(0, size, 2))
        yield stream[:end] + stream[start:]
        yield stream[:start] + stream[end:]


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_is_a_picture(decoders: Decoders, name: str) -> None:
    seed = SEEDS[name]
    values = asyncio.run(decoders.examine(seed.file(), stored_values))
    assert values.shape == seed.pixels.shape
    assert np.abs(values.astype(int) - seed.pixels).max() <= (seed.pixels.max() // 8 if name in LOSSY else 0)


@pytest.mark.parametrize("name", SEEDS)
def test_a_changed_stream_is_refused_or_a_picture(decoders: Decoders, name: str) -> None:
    seed, outcomes = SEEDS[name], set()
    for stream in mutations(seed):
        try:
            values = asyncio.run(decoders.examine(seed.file(stream), stored_values))
        except InputError as error:  # a 4xx; any other exception would be a 500 or a 503
            outcomes.add(error.code)
        else:
            assert values.shape == seed.pixels.shape
            outcomes.add("picture")
    assert "pixel_data_corrupt" in outcomes
    assert "picture" in outcomes
