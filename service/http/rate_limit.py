"""How often one client may ask."""

import time
from collections import OrderedDict
from collections.abc import Callable

_CLIENTS = 10_000


class RateLimit:
    """A token bucket for each client, in this process's memory; of replicas each has its own.

    A bucket is kept as the time at which it will be full again (the generic cell rate algorithm), and those of the
    clients seen longest ago are forgotten, which is as if they were full.

    Parameters
    ----------
    per_second
        Tokens that come back; 0 sets no limit.
    burst
        Tokens of a full bucket.
    clock
        Seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = burst
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, client: str) -> float:
        """Take a token; 0, or the seconds until there will be one."""
        now = self._clock()
        full_at = max(self._full_at.get(client, now), now) + self._interval
        wait = full_at - now - self._burst * self._interval
        if wait > 1e-9:  # rounding is no reason to wait
            return wait
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        while len(self._full_at) > _CLIENTS:
            self._full_at.popitem(last=False)
        return 0.0
