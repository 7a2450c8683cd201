"""The uvicorn server, which ends event streams on shutdown, and reads the requests of connections that it accepted."""

import asyncio
import os
import socket
from contextlib import suppress

import uvicorn

from service.http.feed import Feed

BACKLOG = 100  # connections accepted before the event loop does anything else; each needs a file descriptor
ARRIVAL = 0.5  # seconds that a connection accepted at the last moment has to send its request


class Server(uvicorn.Server):
    """Ends the event streams on shutdown, before it waits for open responses, and cuts no request on its way."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections and wait for the requests in progress.

        uvicorn closes at once a connection whose request has not arrived, which a proxy answers as a failure.
        """
        self._feed.close()
        waiting = [connection for server in self.servers for connection in _stopped(server)]
        for connection in waiting:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await asyncio.sleep(ARRIVAL)
        await super().shutdown(sockets)

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def _stopped(server: asyncio.Server) -> list[socket.socket]:
    """Close a server, and return the connections that waited to be accepted, which closing alone would reset."""
    connections = []
    for listener in server.sockets:
        with socket.socket(fileno=os.dup(listener.fileno())) as same:
            same.setblocking(False)
            with suppress(BlockingIOError):
                while True:
                    connections.append(same.accept()[0])
    server.close()
    for connection in connections:
        connection.setblocking(False)
    return connections
