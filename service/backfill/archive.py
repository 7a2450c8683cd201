"""The radiographs of a DICOMweb archive, by QIDO-RS and WADO-RS.

httpx, because `dicomweb-client` parses what it retrieves, and only a decoder process may parse a file.
"""

import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.backfill.files import PAUSES, shown
from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.errors import ConfigurationError, InvalidRequest, MalformedDicom, Overloaded, TooLarge

_MODALITIES = ("CR", "DX")  # those that the gate accepts
_PAGE = 100  # series in one answer
_SECONDS = 60.0  # for a connection, and between two parts of an answer
_AROUND = 2**16  # bytes of a multipart answer around its file
_MAX_JSON = 2**26
_UID = re.compile("[0-9.]{1,64}")
_OF_THE_FILE = (400, 404, 406, 410, 415)  # statuses by which an archive refuses one instance
_FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"  # tags in the DICOM JSON model, PS3.18 F.2


class Archive:
    """Every instance of the series with modality CR or DX, named `STUDY/SERIES/INSTANCE` by its UIDs. Blocking.

    Parameters
    ----------
    url
        Base URL of the DICOMweb service; it may have user and password.
    authorization
        Value of the header Authorization, or empty.
    pauses
        Seconds before each further attempt.

    Raises
    ------
    ConfigurationError
        The URL is malformed.
    """

    def __init__(self, url: str, authorization: str = "", pauses: tuple[float, ...] = PAUSES) -> None:
        self._pauses = pauses
        headers = {"Authorization": authorization} if authorization else {}
        try:
            self._http = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=_SECONDS)
        except (httpx.InvalidURL, UnicodeError):
            raise ConfigurationError(f"{shown(url)}: not a URL") from None

    def references(self) -> Iterator[str]:
        """Yield the name of every instance, series by series.

        Raises
        ------
        Overloaded
            `source_unavailable`
        """
        for modality in _MODALITIES:
            for offset in itertools.count(0, _PAGE):
                series = self._search("series", {"Modality": modality, "limit": _PAGE, "offset": offset})
                for study, uid in ((_value(each, _STUDY), _value(each, _SERIES)) for each in series):
                    for instance in self._search(f"studies/{study}/series/{uid}/instances", {}):
                        yield f"{study}/{uid}/{_value(instance, _INSTANCE)}"
                if len(series) < _PAGE:
                    break

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of an instance.

        Raises
        ------
        InvalidRequest
            `unreadable`: the archive refuses it.
        MalformedDicom
            The archive's answer holds no file.
        TooLarge
            It has more than `limit` bytes.
        Overloaded
            `source_unavailable`: the archive did not answer, however often it was asked.
        """
        study, series, instance = reference.split("/")
        path = f"studies/{study}/series/{series}/instances/{instance}"
        media_type, body = self._get(path, _FILE, {}, limit + _AROUND)
        return _only_part(media_type, body, limit)

    def _search(self, path: str, query: dict[str, str | int]) -> list[dict[str, Any]]:
        try:
            _, body = self._get(path, "application/dicom+json", query, _MAX_JSON)
            found: list[dict[str, Any]] = json.loads(body or b"[]")  # 204: nothing was found
        except (ValueError, InvalidRequest, TooLarge) as error:
            raise Overloaded(f"a search of the archive failed ({type(error).__name__})", SOURCE_UNAVAILABLE) from error
        return found

    def _get(self, path: str, accept: str, query: dict[str, str | int], limit: int) -> tuple[str, bytes]:
        """Return media type and body of an answer; ask again while the archive is in trouble."""
        for pause in (*self._pauses, None):
            try:
                with self._http.stream("GET", path, headers={"Accept": accept}, params=query) as response:
                    if response.status_code in _OF_THE_FILE:
                        raise InvalidRequest(f"the archive answers {response.status_code}", "unreadable")
                    response.raise_for_status()
                    body = bytearray()
                    for chunk in response.iter_bytes():
                        body += chunk
                        if len(body) > limit:
                            raise TooLarge(f"expected a file of at most {limit} bytes", "file_too_large")
                    return response.headers.get("content-type", ""), bytes(body)
            except httpx.HTTPError as error:
                if pause is None:
                    what = f"the archive does not answer ({type(error).__name__})"
                    raise Overloaded(what, SOURCE_UNAVAILABLE) from error
                time.sleep(pause)
        raise AssertionError  # the last attempt returns or raises


def _value(found: dict[str, Any], tag: str) -> str:
    """Return a UID of a search result.

    Raises
    ------
    Overloaded
        `source_unavailable`: there is none, or it is malformed.
    """
    try:
        value = str(found[tag]["Value"][0])
    except (LookupError, TypeError):
        value = ""
    if not _UID.fullmatch(value):
        raise Overloaded(f"a search of the archive found no UID ({tag})", SOURCE_UNAVAILABLE)
    return value


def _only_part(media_type: str, body: bytes, limit: int) -> bytes:
    """Return the only part of a multipart body, PS3.18 8.7.1."""
    kind, options = parse_options_header(media_type)
    content = bytearray()
    if not kind.startswith(b"multipart/"):
        return body  # some archives send a single file without parts

    def add(data: bytes, start: int, end: int) -> None:
        content.extend(memoryview(data)[start:end])

    try:
        parser = MultipartParser(options.get(b"boundary", b""), {"on_part_data": add})
        parser.write(body[max(0, body.find(b"--")) :])
    except (FormParserError, ValueError):
        raise MalformedDicom("the archive's answer is not multipart/related", "multipart_invalid") from None
    if len(content) > limit:
        raise TooLarge(f"expected a file of at most {limit} bytes, got {len(content)}", "file_too_large")
    return bytes(content)
