"""Rate limit for each client."""

import time
from collections import OrderedDict
from collections.abc import Callable

_MAX_CLIENTS = 10_000


class RateLimit:
    """A token bucket for each client, in the memory of this process; each replica has its own.

    A bucket is stored as the time at which it will be full again (the generic cell rate algorithm). The buckets of the
    clients that were idle for longest are dropped, which has the same effect as a full bucket.

    Parameters
    ----------
    per_second
        Tokens added per second; 0 for no limit.
    burst
        Tokens in a full bucket.
    clock
        Returns the time in seconds.
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._burst = burst
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def spend(self, client: str) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        now = self._clock()
        full_at = max(self._full_at.get(client, now), now) + self._interval
        wait = full_at - now - self._burst * self._interval
        if wait > 1e-9:  # rounding is no reason to wait
            return wait
        self._full_at[client] = full_at
        self._full_at.move_to_end(client)
        while len(self._full_at) > _MAX_CLIENTS:
            self._full_at.popitem(last=False)
        return 0.0
