"""The server: uvicorn, which waits at its end for every open answer, and the streams that would never end."""

import socket

import uvicorn

from service.http.feed import Feed


class Server(uvicorn.Server):
    """Ends the streams of events when it is told to stop, before it waits for what is open."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop taking connections, and wait for the requests that are there."""
        self._feed.close()
        await super().shutdown(sockets)
