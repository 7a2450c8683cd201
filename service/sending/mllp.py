"""The MLLP client, which sends one HL7 message and reads its acknowledgement, HL7 v2.5.1 2.9."""

import asyncio
import re
from contextlib import suppress

from service.destinations import Destination
from service.sending.failure import SendingFailed
from service.sending.tls import context, is_refused, is_tls_failure

CONNECTION_SECONDS = 30.0
ANSWER_SECONDS = 60.0
_CLOSING_SECONDS = 2.0
_START, _END = b"\x0b", b"\x1c\r"
_MAX_ANSWER_BYTES = 2**16
# Table 0008. Application and commit acknowledgement: accepted; error, rejected: kept, and sent again.
_ACCEPTED = (b"AA", b"CA")
_REFUSED = {b"AE": "hl7_ae", b"AR": "hl7_ar", b"CE": "hl7_ce", b"CR": "hl7_cr"}


async def send(destination: Destination, message: bytes, control_id: str) -> None:
    """Send a message over a connection of its own, and wait for the acknowledgement of its control id.

    Raises
    ------
    SendingFailed
        `unreachable`, `tls_failed`, `no_response`, `hl7_ae`, `hl7_ar`, `hl7_ce`, `hl7_cr`
    ConfigurationError
        A file that the destination names cannot be used.
    """
    host, tls = str(destination.host), None if destination.tls_ca is None else context(destination)
    try:
        async with asyncio.timeout(CONNECTION_SECONDS):
            reader, writer = await asyncio.open_connection(host, destination.port, ssl=tls, limit=_MAX_ANSWER_BYTES)
    except (OSError, UnicodeError) as error:  # UnicodeError: the host is no name
        raise SendingFailed("tls_failed" if is_tls_failure(error, connecting=True) else "unreachable") from error
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            writer.write(_START + message + _END)
            await writer.drain()
            answer = await reader.readuntil(_END)
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        refused = is_tls_failure(error, connecting=False) or (
            tls is not None
            and isinstance(error, ConnectionError | asyncio.IncompleteReadError)
            and await is_refused(host, destination.port, tls)
        )
        raise SendingFailed("tls_failed" if refused else "no_response") from error
    finally:
        writer.close()
        with suppress(OSError):
            async with asyncio.timeout(_CLOSING_SECONDS):
                await writer.wait_closed()
    if code := failure(answer, control_id):
        raise SendingFailed(code)


def failure(answer: bytes, control_id: str) -> str:
    """Return the code of an answer that is not the acceptance of a message; empty if it is.

    A receiver that could not read the message may refuse it without its control id.
    """
    segments = re.split(rb"[\r\n]+", answer.partition(_START)[2].removesuffix(_END))
    separator = segments[0][3:4] if segments[0].startswith(b"MSH") else b""
    found = [segment.split(separator) for segment in segments if separator and segment.startswith(b"MSA" + separator)]
    if not found:
        return "no_response"
    code, id, *_ = (*(field.strip() for field in found[0][1:]), b"", b"")
    if code in _REFUSED and id in (b"", control_id.encode()):
        return _REFUSED[code]
    return "" if code in _ACCEPTED and id == control_id.encode() else "no_response"
