"""The C-STORE client, which sends one object to an AE; its calls block."""

import logging
import ssl
from io import BytesIO

import pydicom
import pynetdicom
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE

from service.destinations import Destination
from service.errors import ConfigurationError
from service.sending.failure import SendingFailed

SECONDS = 30.0
_STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # PS3.4 table B.2-1: success, or stored with a warning


def store(destination: Destination, data: bytes) -> None:
    """Send a Part 10 file that this service made.

    Raises
    ------
    SendingFailed
        `unreachable`, `association_rejected`, `sop_class_rejected`, `no_response`, `status_...`
    """
    dataset = pydicom.dcmread(BytesIO(data))
    sop_class = dataset.SOPClassUID
    ae = _application_entity(destination)
    # Two contexts, so that both can be accepted; every AE accepts Implicit VR Little Endian (PS3.5 10.1).
    for syntax in dict.fromkeys((dataset.file_meta.TransferSyntaxUID, ImplicitVRLittleEndian)):
        ae.add_requested_context(sop_class, syntax)
    association = ae.associate(
        str(destination.host), destination.port, ae_title=destination.ae_title, tls_args=_tls(destination)
    )
    if association.is_rejected:
        raise SendingFailed("association_rejected")
    if not association.is_established:
        raise SendingFailed("sop_class_rejected" if association.rejected_contexts else "unreachable")
    try:
        status = association.send_c_store(dataset).get("Status")
    except ValueError as error:
        raise SendingFailed("sop_class_rejected") from error
    finally:
        association.release()
    if status is None:
        raise SendingFailed("no_response")
    if status not in _STORED:
        raise SendingFailed(f"status_{status:04X}")


def _application_entity(destination: Destination) -> AE:
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its handlers write data sets into the log
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    ae = AE(destination.calling_ae_title)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = SECONDS
    return ae


def _tls(destination: Destination) -> tuple[ssl.SSLContext, str] | None:
    if destination.tls_ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=destination.tls_ca), str(destination.host)
    except OSError:
        raise ConfigurationError(f"destination {destination.name}: {destination.tls_ca} cannot be used") from None
