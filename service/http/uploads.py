"""Files out of a request body: raw DICOM, or the parts of a form."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from service.errors import InvalidRequest, TooLarge, UnsupportedEncoding
from service.settings import Limits

RAW = ("application/dicom", "application/octet-stream")
FORM = "multipart/form-data"
PARTS = ("file", "files")


@dataclass(frozen=True)
class Upload:
    """One file as it was sent; of a form, it may lie in a temporary file until it is read."""

    filename: str
    content: bytes | UploadFile

    async def read(self) -> bytes:
        """Give the bytes.

        Raises
        ------
        InvalidRequest
            `empty_body`: there are none.
        """
        data = self.content if isinstance(self.content, bytes) else await self.content.read()
        if not data:
            raise InvalidRequest("the file is empty", "empty_body")
        return data


@asynccontextmanager
async def received(request: Request, limits: Limits) -> AsyncIterator[Sequence[Upload]]:
    """Receive the files of a body, at least one; temporary files are gone afterwards.

    Raises
    ------
    UnsupportedEncoding
        `unsupported_media_type`
    InvalidRequest
        A form without a file, or with too many, or with one in a part of another name (`unknown_part`), or that ends
        before its closing boundary (`truncated_form`).
    TooLarge
        `file_too_large`, told while it is still being sent.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in RAW:
        yield [Upload("", await whole(request, limits.max_file_bytes))]
    elif media_type == FORM:
        form = await _form(request, limits.max_files)
        try:
            yield _files(form)
        finally:
            await form.close()
    else:
        wanted = f"{FORM} with a part named file, or {RAW[0]}"
        raise UnsupportedEncoding(f"Content-Type: wanted {wanted}", "unsupported_media_type")


async def whole(request: Request, limit: int) -> bytes:
    """Receive a body that is one file, perhaps empty.

    Raises
    ------
    TooLarge
        `file_too_large`, told while it is still being sent.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a file of at most {limit} bytes wanted", "file_too_large")
    return bytes(data)


class _Parser(MultiPartParser):
    """Starlette's parser, which says nothing of a body that ends early and drops its last part."""

    ended = False

    def on_end(self) -> None:
        self.ended = True


async def _form(request: Request, limit: int) -> FormData:
    async def closed() -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            yield chunk
        if not parser.ended:
            raise InvalidRequest("the form ends before its closing boundary", "truncated_form")

    parser = _Parser(request.headers, closed(), max_files=limit, max_fields=limit)
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(error.message) from None


def _files(form: FormData) -> list[Upload]:
    parts = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if any(name not in PARTS for name, _ in parts):
        raise InvalidRequest(f"a file is in a part that is named neither {' nor '.join(PARTS)}", "unknown_part")
    files = [Upload(value.filename or "", value) for _, value in parts]
    if not files:
        raise InvalidRequest("the form has no file in a part named file, as in curl -F file=@radiograph.dcm", "no_file")
    return files
