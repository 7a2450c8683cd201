"""TLS to a destination: the context of its settings, and which failures are TLS's."""

import asyncio
import ssl

from service.destinations import Destination
from service.errors import ConfigurationError

# The connection was closed. During a handshake that is a refusal; later it says nothing of TLS.
_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_ALERT_SECONDS = 2.0


def context(destination: Destination) -> ssl.SSLContext:
    """Return a client's context: it checks certificate and host name, and presents the client certificate, if any.

    Raises
    ------
    ConfigurationError
        A file that the destination names cannot be used.
    """
    file = destination.tls_ca
    try:
        made = ssl.create_default_context(cafile=file)
        if (file := destination.tls_certificate) is not None:
            # An encrypted key is refused: without `password`, OpenSSL would ask for it on the terminal.
            made.load_cert_chain(file, destination.tls_key, password="")
    except (OSError, ValueError):
        raise ConfigurationError(f"destination {destination.name}: {file} cannot be used for TLS") from None
    return made


def is_tls_failure(error: BaseException, connecting: bool) -> bool:
    """Whether an error, or one that it was raised from, is a failed handshake or an alert."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and (connecting or not isinstance(cause, _CLOSED)):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


async def is_refused(host: str, port: int, made: ssl.SSLContext) -> bool:
    """Connect once more, and tell whether a server ends the connection with an alert although nothing is sent to it.

    A server of TLS 1.3 checks the client's certificate after the client has ended its handshake (RFC 8446 2). A client
    that is sending by then learns only that the connection broke.
    """
    try:
        async with asyncio.timeout(_ALERT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port, ssl=made)
            try:
                await reader.read(1)
            finally:
                writer.transport.abort()
    except ssl.SSLError as error:
        return is_tls_failure(error, connecting=False)
    except (OSError, TimeoutError):
        pass
    return False
