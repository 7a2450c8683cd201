"""Ports for servers whose port a test chooses before they start."""

import secrets
import socket
from contextlib import suppress

# From 32768 on, Linux gives ports to whatever connects or asks for any (ip_local_port_range); Ray takes 10002 to 19999.
_PORTS = range(20_000, 32_768)


def free_ports(count: int) -> list[int]:
    """Return ports that are free now, and that the system does not give to another process by itself."""
    ports: set[int] = set()
    while len(ports) < count:
        port = secrets.choice(_PORTS)  # as others, who choose at the same time, do not
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            ports.add(port)
    return list(ports)


def free_port() -> int:
    """Return one such port."""
    return free_ports(1)[0]
