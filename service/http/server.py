"""The uvicorn server, which ends event streams on shutdown, and reads the requests of connections that it accepted."""

import asyncio
import socket

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
        await asyncio.sleep(0)  # accepts connections that wait at the sockets, which closing would reset
        for server in self.servers:
            server.close()
        await asyncio.sleep(ARRIVAL)
        await super().shutdown(sockets)
