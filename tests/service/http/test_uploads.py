"""Files in a request body, where the requests of `test_predictions` do not reach."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from starlette.requests import Request
from starlette.types import Message

from service.errors import InvalidRequest
from service.http.uploads import receive_files
from service.settings import Limits
from service.storage.incoming import Incoming


def test_a_file_is_deleted_though_the_request_is_cancelled_while_every_thread_is_busy(tmp_path: Path) -> None:
    may_go_on = threading.Event()

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x"}

    async def work() -> None:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/dicom")]}
        async with receive_files(Request(scope, receive), Limits(), lambda: Incoming(tmp_path / "1")):
            asyncio.get_running_loop().run_in_executor(None, may_go_on.wait, 20)
            raise InvalidRequest("refused")

    async def cancelled() -> None:
        with ThreadPoolExecutor(1) as pool:
            asyncio.get_running_loop().set_default_executor(pool)
            request = asyncio.create_task(work())
            await asyncio.sleep(0.2)  # the file is being closed
            assert list(tmp_path.iterdir())
            request.cancel()
            await asyncio.sleep(0.05)
            may_go_on.set()
            await asyncio.wait([request])

    asyncio.run(cancelled())
    assert not list(tmp_path.iterdir())
