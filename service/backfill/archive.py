"""The radiographs of a DICOMweb archive, by QIDO-RS and WADO-RS.

httpx, because `dicomweb-client` parses what it retrieves, and only a decoder process may parse a file.
"""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.backfill.attempts import FILE_UNAVAILABLE, PAUSES, Attempts, NoAnswer
from service.backfill.files import shown
from service.backfill.outcome import SOURCE_UNAVAILABLE
from service.errors import ConfigurationError, InvalidRequest, MalformedDicom, Overloaded, TooLarge, TriageError

_MODALITIES = ("CR", "DX")  # those that the gate accepts
_PAGE = 100  # results in one answer, of which an archive may give fewer
_SECONDS = 60.0  # for a connection, and between two parts of an answer
_AROUND = 2**16  # bytes of a multipart answer around its file
_MAX_JSON = 2**26
_UID = re.compile("[0-9.]{1,64}")
_OF_THE_FILE = (400, 404, 406, 410, 415, 422)  # statuses by which an archive refuses one instance for good
_BUSY = (408, 429)  # and all from 500
_FILE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
# Tags in the DICOM JSON model, PS3.18 F.2
_STUDY, _SERIES, _INSTANCE, _INSTANCES = "0020000D", "0020000E", "00080018", "00201209"

Found = dict[str, Any]
Page = tuple[list[Found], bool]  # results, and whether the archive says that there are more
Search = Callable[[int, int], Page]  # offset and limit
Attempt = Callable[[Callable[[], Page]], Page]


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
        self._attempts = Attempts(partial(self._search, "series", {}), pauses)
        headers = {"Authorization": authorization} if authorization else {}
        try:
            self._http = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=_SECONDS)
        except (httpx.InvalidURL, UnicodeError):
            raise ConfigurationError(f"{shown(url)}: not a URL") from None

    def references(self) -> Iterator[str]:
        """Yield the name of every instance, series by series, and of a series whose instances cannot be listed.

        Raises
        ------
        Overloaded
            `source_unavailable`
        """
        listed, made = self._attempts.listed, self._attempts.made
        for modality in _MODALITIES:
            for series in _results(partial(self._search, "series", {"Modality": modality}), listed, _SERIES):
                name = f"{_value(series, _STUDY)}/{_value(series, _SERIES)}"
                try:
                    search = partial(self._search, _path(name), {})
                    for instance in _results(search, made, _INSTANCE, _number(series)):
                        yield f"{name}/{_value(instance, _INSTANCE)}"
                except TriageError as error:
                    if error.code == SOURCE_UNAVAILABLE:
                        raise
                    yield name  # reading it says why

    def read(self, reference: str, limit: int) -> bytes:
        """Return the bytes of an instance.

        Raises
        ------
        InvalidRequest
            `unreadable`: the archive refuses it for good.
        MalformedDicom
            The archive's answer holds no file.
        TooLarge
            It has more than `limit` bytes.
        Overloaded
            `file_unavailable`: the archive answers, but does not give the instance, or could not list the series.
            `source_unavailable`: it does not answer, refuses the authorization, or gives no instance at all.
        """
        return self._attempts.made(partial(self._read, reference, limit))

    def _read(self, reference: str, limit: int) -> bytes:
        if reference.count("/") == 1:
            self._search(_path(reference), {})
            raise Overloaded("the instances of a series could not be listed", FILE_UNAVAILABLE)
        headers, body = self._get(_path(reference), _FILE, {}, limit + _AROUND)
        return _only_part(headers.get("content-type", ""), body, limit)

    def _search(self, path: str, query: dict[str, str], offset: int = 0, limit: int = 1) -> Page:
        page = {"limit": limit, "offset": offset}
        try:
            headers, body = self._get(path, "application/dicom+json", query | page, _MAX_JSON)
            results = json.loads(body or b"[]")  # 204: nothing was found
            if not isinstance(results, list):
                raise ValueError
        except (ValueError, TooLarge) as error:
            what = f"the archive's answer to a search cannot be read ({type(error).__name__})"
            raise Overloaded(what, SOURCE_UNAVAILABLE) from error
        return results, headers.get("warning", "").startswith("299")  # PS3.18 8.3.4.4

    def _get(self, path: str, accept: str, query: dict[str, str | int], limit: int) -> tuple[httpx.Headers, bytes]:
        """Return headers and body of an answer."""
        with self._http.stream("GET", path, headers={"Accept": accept}, params=query) as response:
            _check(response.status_code)
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"expected a file of at most {limit} bytes", "file_too_large")
            return response.headers, bytes(body)


def _results(search: Search, attempt: Attempt, tag: str, number: int | None = None) -> Iterator[Found]:
    """Yield the results of a search page by page, however few of them a page has.

    Parameters
    ----------
    tag
        UID that tells two results apart.
    number
        How many there are, if that is known.
    """
    offset, last, is_cut = 0, "", True
    while is_cut or number is None or offset < number:
        results, is_warned = attempt(partial(search, offset, _PAGE))
        first = _value(results[0], tag) if results else ""
        if not results or (first == last and not is_cut):
            return  # an archive that knows no offset has given all at once
        if first == last:
            what = "the archive gives the same results for each offset, and not all at once: it cannot be listed"
            raise Overloaded(what, SOURCE_UNAVAILABLE)
        yield from results
        offset, last, is_cut = offset + len(results), first, is_warned or len(results) == _PAGE


def _check(status: int) -> None:
    """Raise the error that a status means for one instance."""
    what = f"the archive answers {status}"
    if status == 401:
        raise Overloaded(f"{what}: check --authorization-file", SOURCE_UNAVAILABLE)
    if status in _OF_THE_FILE:
        raise InvalidRequest(what, "unreadable")
    if status in _BUSY or status >= 500:
        raise NoAnswer(what)
    if status >= 300:
        raise Overloaded(f"{what}: check --authorization-file" if status == 403 else what, FILE_UNAVAILABLE)


def _path(name: str) -> str:
    """Return the path of an instance, or of the instances of a series."""
    study, series, *instance = name.split("/")
    return "/".join((f"studies/{study}/series/{series}/instances", *instance))


def _number(series: Found) -> int | None:
    """Return how many instances a series has, if the archive says so."""
    try:
        return int(series[_INSTANCES]["Value"][0])
    except (LookupError, TypeError, ValueError):
        return None


def _value(found: Found, tag: str) -> str:
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
