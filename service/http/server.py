"""The uvicorn server, with event streams that end on shutdown instead of delaying it."""

import socket

import uvicorn

from service.http.feed import Feed


class Server(uvicorn.Server):
    """Ends the event streams on shutdown, before it waits for open responses."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections and wait for the requests in progress."""
        self._feed.close()
        await super().shutdown(sockets)
