"""The files in a request body: one raw DICOM file, or the parts of a form."""

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
PART_NAMES = ("file", "files")
_MAX_FIELD_BYTES = 2**16  # limit of a part that is not a file; such parts are ignored


@dataclass(frozen=True)
class Upload:
    """One uploaded file; a file from a form may be in a temporary file until it is read."""

    filename: str
    content: bytes | UploadFile

    async def read(self) -> bytes:
        """Return the bytes.

        Raises
        ------
        InvalidRequest
            `empty_body`: the file is empty.
        """
        data = self.content if isinstance(self.content, bytes) else await self.content.read()
        if not data:
            raise InvalidRequest("the file is empty", "empty_body")
        return data


@asynccontextmanager
async def receive_files(request: Request, limits: Limits) -> AsyncIterator[Sequence[Upload]]:
    """Receive the files in a body, at least one; temporary files are deleted on exit.

    Raises
    ------
    UnsupportedEncoding
        `unsupported_media_type`
    InvalidRequest
        The form has no file (`no_file`), too many, one in a part of another name (`unknown_part`), or ends before its
        closing boundary (`truncated_form`).
    TooLarge
        `file_too_large`, raised while the file is still being received.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in RAW:
        yield [Upload("", await receive_file(request, limits.max_file_bytes))]
    elif media_type == FORM:
        form = await _form(request, limits.max_files)
        try:
            yield _files(form)
        finally:
            await form.close()
    else:
        raise UnsupportedEncoding(
            f"Content-Type must be {FORM} with a part named file, or {RAW[0]}", "unsupported_media_type"
        )


async def receive_file(request: Request, limit: int) -> bytes:
    """Receive a body that is one file; it may be empty.

    Raises
    ------
    TooLarge
        `file_too_large`, raised while the file is still being received.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a file must not be larger than {limit} bytes", "file_too_large")
    return bytes(data)


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


def _files(form: FormData) -> list[Upload]:
    parts = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
    if any(name not in PART_NAMES for name, _ in parts):
        raise InvalidRequest(f"the part of a file must be named {' or '.join(PART_NAMES)}", "unknown_part")
    files = [Upload(value.filename or "", value) for _, value in parts]
    if not files:
        raise InvalidRequest(
            "the form has no file; send it in a part named file, as in curl -F file=@radiograph.dcm", "no_file"
        )
    return files
