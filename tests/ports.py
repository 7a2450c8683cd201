"""Ports for servers whose port a test chooses before they start."""

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# From 32768 on, Linux gives ports to whatever connects or asks for any (ip_local_port_range); Ray takes 10002 to 19999.
_FIRST, _END = 20_000, 32_768
# The processes of pytest-xdist have ports of their own: one that is free may be that of a server about to start.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PORTS = range(_FIRST + _WORKER, _END, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))
_given: set[int] = set()  # none is given twice: a server that is down for a while starts again on its own


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, and that the system does not give to another process by itself."""
    ports: list[int] = []
    while len(ports) < count:
        port = secrets.choice(_PORTS)  # as other programs, which choose at the same time, do not
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            if port not in _given:
                _given.add(port)
                ports.append(port)
    return ports


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]


@contextmanager
def refusing() -> Iterator[int]:
    """Hold a port at which nobody listens, so that no other process takes it."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
