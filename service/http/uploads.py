"""The files in a request body: one raw DICOM file, or the parts of a form."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from service.errors import InvalidRequest, TooLarge, UnsupportedEncoding
from service.http.envelope import declared_length
from service.settings import Limits
from service.storage.incoming import Incoming
from service.threads import completed

RAW = ("application/dicom", "application/octet-stream")
FORM = "multipart/form-data"
PART_NAMES = ("file", "files")
WRITTEN_BYTES = 2**20  # written at once: a thread does it, and each time costs as much as receiving some kilobytes
_MAX_FIELD_BYTES = 2**16  # limit of a part that is not a file; such parts are ignored


@dataclass(frozen=True)
class Upload:
    """One uploaded file, as it lies on the disk."""

    filename: str
    file: Incoming

    def checked(self) -> Incoming:
        """Return the file.

        Raises
        ------
        InvalidRequest
            `empty_body`: the file is empty.
        """
        if not self.file.size:
            raise InvalidRequest("the file is empty", "empty_body")
        return self.file


def expected_bytes(request: Request, limit: int) -> int:
    """Return the bytes of a body of at most `limit` that will arrive: all of them where no length is declared."""
    return min(declared_length(request.scope) or limit, limit)


@asynccontextmanager
async def receive_files(
    request: Request, limits: Limits, start: Callable[[], Incoming]
) -> AsyncIterator[Sequence[Upload]]:
    """Receive the files in a body, at least one; those that are not kept are deleted on exit.

    Parameters
    ----------
    start
        Starts a file on the disk.

    Raises
    ------
    UnsupportedEncoding
        `unsupported_media_type`
    InvalidRequest
        The form has no file (`no_file`), too many, one in a part of another name (`unknown_part`), or ends before its
        closing boundary (`truncated_form`).
    TooLarge
        `file_too_large`, raised while the file is still being received.
    StorageFull
    """
    files: list[Incoming] = []

    def started() -> Incoming:
        files.append(start())
        return files[-1]

    try:
        if (media_type := _media_type(request)) in RAW:
            yield [Upload("", await receive_file(request, started(), limits.max_file_bytes))]
        elif media_type == FORM:
            yield await _receive_form(request, limits, started)
        else:
            raise UnsupportedEncoding(
                f"Content-Type must be {FORM} with a part named file, or {RAW[0]}", "unsupported_media_type"
            )
    finally:
        await completed(_close, files)  # also if every thread is busy when the request is cancelled


async def receive_file(request: Request, file: Incoming, limit: int) -> Incoming:
    """Receive a body that is one file; it may be empty.

    Raises
    ------
    TooLarge
        `file_too_large`, raised while the file is still being received.
    StorageFull
    """
    chunks: list[bytes] = []
    waiting = 0
    async for chunk in request.stream():
        chunks.append(chunk)
        waiting += len(chunk)
        if file.size + waiting > limit:
            raise TooLarge(f"a file must not be larger than {limit} bytes", "file_too_large")
        if waiting >= WRITTEN_BYTES:
            await asyncio.to_thread(file.write, chunks)
            chunks, waiting = [], 0
    if waiting:
        await asyncio.to_thread(file.write, chunks)
    return file


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _close(files: Iterable[Incoming]) -> None:
    for file in files:
        file.close()


async def _receive_form(request: Request, limits: Limits, start: Callable[[], Incoming]) -> Sequence[Upload]:
    """Receive a form, which may be in temporary files first."""
    form = await _form(request, limits.max_files)
    try:
        parts = _files(form)
        return [Upload(part.filename or "", await asyncio.to_thread(_copied, part, start())) for part in parts]
    finally:
        await form.close()


def _copied(part: UploadFile, file: Incoming) -> Incoming:
    file.write(iter(lambda: part.file.read(WRITTEN_BYTES), b""))
    return file


class _Parser(MultiPartParser):
    """Starlette's parser silently drops the last part of an incomplete body; `ended` is False for such a body."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _form(request: Request, limit: int) -> FormData:
    async def chunks() -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        if not parser.ended:
            raise InvalidRequest("the form ends before its closing boundary", "truncated_form")

    parser = _Parser(request.headers, chunks(), max_files=limit, max_fields=limit, max_part_size=_MAX_FIELD_BYTES)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(error.message) from None


def _files(form: FormData) -> list[UploadFile]:
    parts = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if any(name not in PART_NAMES for name, _ in parts):
        raise InvalidRequest(f"the part of a file must be named {' or '.join(PART_NAMES)}", "unknown_part")
    if not parts:
        raise InvalidRequest(
            "the form has no file; send it in a part named file, as in curl -F file=@radiograph.dcm", "no_file"
        )
    return [value for _, value in parts]
