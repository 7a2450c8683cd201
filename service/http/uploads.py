"""Files out of a request body: raw DICOM, or the parts of a form."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile
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
        A form without a file, or with too many.
    TooLarge
        `file_too_large`, told while it is still being sent.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in RAW:
        yield [Upload("", await _raw(request, limits.max_file_bytes))]
    elif media_type == FORM:
        async with request.form(max_files=limits.max_files, max_fields=limits.max_files) as form:
            yield _files(form)
    else:
        wanted = f"{FORM} with a part named file, or {RAW[0]}"
        raise UnsupportedEncoding(f"Content-Type: wanted {wanted}", "unsupported_media_type")


async def _raw(request: Request, limit: int) -> bytes:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise TooLarge(f"a file of at most {limit} bytes wanted", "file_too_large")
    return bytes(data)


def _files(form: FormData) -> list[Upload]:
    files = [
        Upload(value.filename or "", value)
        for name, value in form.multi_items()
        if name in PARTS and isinstance(value, UploadFile)
    ]
    if not files:
        raise InvalidRequest("the form has no file in a part named file, as in curl -F file=@radiograph.dcm", "no_file")
    return files
