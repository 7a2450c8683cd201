"""How long a client may take to send a body or to read an answer; waits for the service itself do not count."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Deadlines of one transfer.

    Parameters
    ----------
    idle_seconds
        Longest wait for one part.
    bytes_per_second
        Least average rate of all waits together, after the first `idle_seconds`.
    total_seconds
        Longest sum of all waits.
    """

    idle_seconds: float
    bytes_per_second: float
    total_seconds: float = math.inf
    moved: int = 0
    waited: float = field(default=0.0, init=False)

    @property
    def left(self) -> float:
        """Seconds that the next part may take; the client is too slow if it is negative."""
        earned = self.idle_seconds + self.moved / self.bytes_per_second
        return min(self.idle_seconds, min(earned, self.total_seconds) - self.waited)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time that passes inside as a wait for the client."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.waited += time.monotonic() - start
