"""A receiver of HL7 messages, made of python-hl7's MLLP server and its acknowledgements.

As a program it appends each message to a file before it acknowledges it, or, with `mute`, does not acknowledge it:
`mllp_receiver PORT FILE [mute]`.
"""

import asyncio
import contextlib
import json
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import hl7
from hl7.mllp import HL7StreamReader, HL7StreamWriter, start_hl7_server

Answer = Callable[[hl7.Message], bytes | None]


def accept(message: hl7.Message) -> bytes:
    return str(message.create_ack("AA")).encode()


async def serve(port: int, answer: Answer, tls: ssl.SSLContext | None = None) -> asyncio.Server:
    async def converse(reader: HL7StreamReader, writer: HL7StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reply = answer(await reader.readmessage())
            if reply is None:
                await reader.read()  # until the other side gives up
            else:
                writer.writeblock(reply)
                await writer.drain()
        writer.close()

    return await start_hl7_server(converse, "127.0.0.1", port, encoding="utf-8", ssl=tls)


@contextmanager
def receiver(answer: Answer = accept, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[int]:
    """Run the receiver in a thread; its port."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(serve(port, answer, tls))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def stop() -> None:
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.01)  # transports close in the next round

    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _main(port: int, file: Path, mute: bool) -> None:
    def keep(message: hl7.Message) -> bytes | None:
        with file.open("a") as stream:
            stream.write(json.dumps(str(message)) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return None if mute else accept(message)

    await (await serve(port, keep)).serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), Path(sys.argv[2]), "mute" in sys.argv[3:]))
