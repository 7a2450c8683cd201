import asyncio

import pytest

from service.errors import Overloaded
from service.prediction.admission import Arrivals, Places


def test_a_place_is_given_once_at_a_time() -> None:
    places = Places(1)
    with places.taken(), pytest.raises(Overloaded), places.taken():
        pytest.fail("a place was given twice")
    with places.taken():
        assert places.free == 0
    assert places.free == 1


def test_spare_places_are_at_most_those_that_are_free() -> None:
    places = Places(3)
    with places.taken(), places.spare(10) as held:
        assert (held, places.free) == (2, 0)
    assert places.free == 3


def test_a_part_waits_for_a_place_and_gets_the_next_one() -> None:
    async def wait() -> list[str]:
        places, order = Places(1), list[str]()

        async def part(name: str) -> None:
            async with places.awaited(20):
                order.append(name)
                await asyncio.sleep(0)

        with places.taken():
            tasks = [asyncio.create_task(part(name)) for name in "abc"]
            await asyncio.sleep(0.01)
            order.append("free")
        await asyncio.gather(*tasks)
        assert places.free == 1
        return order

    assert asyncio.run(wait()) == ["free", "a", "b", "c"]


def test_a_wait_for_a_place_ends() -> None:
    async def wait() -> None:
        places = Places(1)
        with places.taken(), pytest.raises(Overloaded):
            async with places.awaited(0.01):
                pytest.fail("a place was given twice")
        assert places.free == 1

    asyncio.run(wait())


def test_a_cancelled_wait_leaves_its_turn_to_the_next() -> None:
    async def wait() -> None:
        places = Places(1)

        async def part() -> None:
            async with places.awaited(20):
                pass

        with places.taken():
            gone, next_one = asyncio.create_task(part()), asyncio.create_task(part())
            await asyncio.sleep(0.01)
            gone.cancel()
        await next_one
        assert places.free == 1

    asyncio.run(wait())


@pytest.mark.parametrize(("client", "size"), [("a", 5), ("b", 7)])
def test_bytes_beyond_a_limit_are_refused_and_reserve_nothing(client: str, size: int) -> None:
    """Of ten in all, eight for one client, `a` has four."""
    arrivals = Arrivals(10, 8)
    with arrivals.reserved("a", 4):
        with pytest.raises(Overloaded), arrivals.reserved(client, size):
            pytest.fail("too many bytes were accepted")
        with arrivals.reserved(client, size - 1):
            pass
    with arrivals.reserved(client, 8):
        pass
