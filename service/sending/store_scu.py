"""The C-STORE client, which sends one object to an AE; its calls block."""

import logging
import ssl
from io import BytesIO

import pydicom
import pynetdicom
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE

from service.destinations import Destination
from service.sending.compression import best_accepted, compressed_syntaxes
from service.sending.failure import SendingFailed
from service.sending.tls import context, is_tls_failure

SECONDS = 30.0
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # PS3.4 table B.2-1: success, or stored with a warning


class _Tls:
    """The connection of an association by TLS, watched because pynetdicom only logs its errors and leaves it open.

    Attributes
    ----------
    failed
        Whether the handshake failed or the peer sent an alert.
    """

    def __init__(self) -> None:
        self.failed = False
        self._sockets: list[ssl.SSLSocket] = []

    def arguments(self, destination: Destination) -> tuple[ssl.SSLContext, str] | None:
        """Return `tls_args` for pynetdicom; None without TLS."""
        if destination.tls_ca is None:
            return None
        watch = self

        class Socket(ssl.SSLSocket):
            def connect(self, addr: object) -> None:
                watch._sockets.append(self)
                try:
                    super().connect(addr)  # type: ignore[arg-type]
                except OSError as error:
                    watch.failed = watch.failed or is_tls_failure(error, connecting=True)
                    raise

            def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
                try:
                    return super().recv(buflen, flags)
                except OSError as error:
                    watch.failed = watch.failed or is_tls_failure(error, connecting=False)
                    raise

        made = context(destination)
        made.sslsocket_class = Socket
        return made, str(destination.host)

    def close(self) -> None:
        """Close the connection."""
        for connection in self._sockets:
            connection.close()
        self._sockets.clear()


def store(destination: Destination, data: bytes) -> None:
    """Send a Part 10 file that this service made.

    Raises
    ------
    SendingFailed
        `unreachable`, `tls_failed`, `association_rejected`, `sop_class_rejected`, `no_response`, `status_...`
    ConfigurationError
        A file that the destination names cannot be used.
    """
    dataset = pydicom.dcmread(BytesIO(data))
    sop_class = dataset.SOPClassUID
    ae = _application_entity(destination)
    # A context each, so that all can be accepted; every AE accepts Implicit VR Little Endian (PS3.5 10.1).
    uncompressed = (dataset.file_meta.TransferSyntaxUID, ImplicitVRLittleEndian)
    for syntax in dict.fromkeys((*compressed_syntaxes(dataset), *uncompressed)):
        ae.add_requested_context(sop_class, syntax)
    tls = _Tls()
    try:
        status = _status(ae, destination, tls, dataset, data)
    finally:
        tls.close()
    if status is None:
        raise SendingFailed("no_response")
    if status not in _STORED:
        raise SendingFailed(f"status_{status:04X}")


def _status(ae: AE, destination: Destination, tls: _Tls, dataset: pydicom.Dataset, data: bytes) -> int | None:
    association = ae.associate(
        str(destination.host), destination.port, ae_title=destination.ae_title, tls_args=tls.arguments(destination)
    )
    if tls.failed:
        raise SendingFailed("tls_failed")
    if association.is_rejected:
        raise SendingFailed("association_rejected")
    if not association.is_established:
        raise SendingFailed("sop_class_rejected" if association.rejected_contexts else "unreachable")
    try:
        accepted = [str(syntax) for context in association.accepted_contexts for syntax in context.transfer_syntax]
        status: int | None = association.send_c_store(best_accepted(dataset, data, accepted)).get("Status")
    except ValueError as error:
        raise SendingFailed("sop_class_rejected") from error
    finally:
        association.release()
    return status


def _application_entity(destination: Destination) -> AE:
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its handlers write data sets into the log
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    ae = AE(destination.calling_ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = SECONDS
    return ae
