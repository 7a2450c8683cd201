"""Bounds on all HTTP connections together: on their number, and on the bytes of answers that nobody reads.

Where a bound is reached, the connection that has waited longest for its client is closed, so that clients who do their
part are served also while others hold connections open.
"""

import resource
from typing import Protocol

from service.errors import Overloaded, TriageError
from service.http.pace import Pace
from service.settings import Settings
from service.telemetry import log

OTHER_FILES = 256  # descriptors left for files, the database, decoder processes and destinations


class Held(Protocol):
    """What is bounded: a connection that can be closed."""

    def refuse(self, error: TriageError) -> None:
        """Answer an error in place of a request, and close the connection."""

    def cut(self) -> None:
        """Close the connection at once, whatever has not been read."""


class Connections:
    """The connections of one server.

    Parameters
    ----------
    most
        Connections at once.
    unread_bytes
        Bytes of all answers that wait for their clients.
    head_seconds
        Time for the head of a request.
    idle_seconds, bytes_per_second
        As `Pace`, for reading an answer.
    """

    def __init__(
        self, most: int, unread_bytes: int, head_seconds: float, idle_seconds: float, bytes_per_second: float
    ) -> None:
        self._most, self._unread_bytes = most, unread_bytes
        self.head_seconds, self.idle_seconds, self._rate = head_seconds, idle_seconds, bytes_per_second
        self._waiting: dict[Held, None] = {}  # for their clients, the longest wait first
        self._unread: dict[Held, int] = {}  # bytes of answers, the longest wait first

    def pace(self) -> Pace:
        """Return the deadlines of a new answer."""
        return Pace(self.idle_seconds, self._rate)

    def open(self, connection: Held, open_connections: int) -> None:
        """Note a new connection; over the bound, close the one that waits longest, or refuse this one."""
        if open_connections > self._most:
            oldest = next(iter(self._waiting), None)
            if oldest is None:  # all others are being served
                connection.refuse(Overloaded("too many connections", "too_many_connections"))
                return
            self.proceed(oldest)
            oldest.cut()
        self.wait(connection)

    def wait(self, connection: Held) -> None:
        """Note that a connection waits for its client: for a request, for more of a body, or to be read."""
        self._waiting.setdefault(connection)

    def proceed(self, connection: Held) -> None:
        """Note that a connection no longer waits for its client, or is gone."""
        self._waiting.pop(connection, None)
        self._unread.pop(connection, None)

    def wait_for_reader(self, connection: Held, size: int) -> None:
        """Note that an answer of `size` bytes waits to be read; over the bound, cut off those that wait longest."""
        self.wait(connection)
        self._unread[connection] = size
        while sum(self._unread.values()) > self._unread_bytes and len(self._unread) > 1:
            oldest = next(iter(self._unread))
            self.proceed(oldest)
            log().warning("an answer was cut off: too many answers are not read")
            oldest.cut()


def most_connections(wanted: int) -> int:
    """Return how many connections there may be: as many as wanted, or what the limit on open files leaves.

    The soft limit is raised as far as the hard one allows and as the wanted number needs.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - OTHER_FILES))


def connections_of(settings: Settings) -> Connections:
    """Return the connections of a server with these settings."""
    http, limits = settings.http, settings.limits
    return Connections(
        most_connections(http.max_connections),
        http.max_unread_bytes,
        http.head_seconds,
        limits.idle_seconds,
        limits.min_bytes_per_second,
    )
