"""C-ECHO and C-STORE: an association's data sets, undecoded, to the HTTP door.

Nothing here looks into a data set. What it is and whether it can be read is decided behind the HTTP door, in
processes with limits; a status other than success leaves the instance with its sender.
"""

import logging
import threading
import time
from typing import cast

import pynetdicom
from pydicom import Dataset
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from service.dimse.forward import Forward, new_request_id
from service.dimse.status import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, SOP_CLASS_NOT_SUPPORTED, SUCCESS, Status
from service.dimse.wire import Wire, tls_context
from service.errors import ConfigurationError
from service.settings import Dimse
from service.telemetry import describe, log, request

# Radiographs come as Secondary Capture, too. FOR PROCESSING is taken so that the gate can say why it is refused.
SOP_CLASSES = (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
)
# The first of these that is proposed in a context is accepted: uncompressed ones, which every sender can make of what
# it has. A test compares them with what the decoder reads.
SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    HTJ2K,
)
LEAVE_SECONDS = 2.0
NEGOTIATION_SECONDS = 10.0


class Door:
    """The acceptor of associations.

    Parameters
    ----------
    max_file_bytes
        What the service takes of one file; no longer data set is received.

    Raises
    ------
    ConfigurationError
        The address cannot be listened on; a file of a setting cannot be read.
    """

    def __init__(self, settings: Dimse, max_file_bytes: int) -> None:
        self._forward = Forward(settings)
        self._wire = Wire(max_file_bytes, settings.idle_seconds)
        self._in_hand = Counter()
        self._closing = False
        self._ae = application_entity(settings)
        try:
            server = self._ae.start_server(
                (settings.host, settings.port),
                block=False,
                ssl_context=tls_context(settings.tls_certificate, settings.tls_key, settings.tls_ca),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, self._wire.open),
                    (evt.EVT_ACSE_SENT, _note_rejection),
                    (evt.EVT_C_STORE, self._store),
                ],
            )
        except OSError as error:
            why = f"{settings.host} port {settings.port}: {error.strerror}"
            raise ConfigurationError(f"cannot listen on {why}") from None
        self._server = cast(ThreadedAssociationServer, server)  # None only where it blocks

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def close(self, grace_seconds: float) -> None:
        """Take no more associations, end what is in hand, refuse what comes on the open ones, and abort these."""
        self._closing = True
        self._server.shutdown()
        self._in_hand.wait_for_none(grace_seconds)
        until = time.monotonic() + LEAVE_SECONDS  # for the last response to be sent and the peer to release
        while self._ae.active_associations and time.monotonic() < until:
            time.sleep(0.02)
        self._ae.shutdown()
        self._forward.close()

    def _store(self, event: Event) -> Dataset:
        start = time.perf_counter()
        store = cast(C_STORE, event.request)
        request_id = new_request_id()
        with self._in_hand, request(request_id):
            found = self._checked(event, request_id)
            log().info(
                "stored" if found.value == SUCCESS else "not stored",
                sop_instance_uid=str(store.AffectedSOPInstanceUID),
                status=f"{found.value:04X}",
                reason=found.comment,
                ms=round(1e3 * (time.perf_counter() - start), 1),
            )
        return _response(found)

    def _checked(self, event: Event, request_id: str) -> Status:
        if self._closing:
            return Status(OUT_OF_RESOURCES, "closing")
        if cast(C_STORE, event.request).AffectedSOPClassUID not in SOP_CLASSES:
            return Status(SOP_CLASS_NOT_SUPPORTED, "sop_class_not_supported")
        try:
            data = event.encoded_dataset()
            return self._forward.store(data, request_id)
        except MemoryError:  # of what others send at the same time
            return Status(OUT_OF_RESOURCES, "out_of_memory")
        except Exception as error:  # a UID in the command that cannot be written into a file's header
            log().error("unexpected", **describe(error))
            return Status(CANNOT_UNDERSTAND, "malformed_dicom")


class Counter:
    """How many stores are in hand."""

    def __init__(self) -> None:
        self._count = 0
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        with self._changed:
            self._count += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def wait_for_none(self, seconds: float) -> None:
        """Wait until there is none, or for so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count, seconds)


def application_entity(settings: Dimse) -> AE:
    """Set pynetdicom up: who may call, what is taken, how long it waits."""
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its handlers write data sets into the log
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    ae = AE(settings.ae_title)
    ae.require_called_aet = True
    ae.require_calling_aet = list(settings.callers)
    ae.maximum_associations = settings.maximum_associations
    ae.maximum_pdu_size = settings.maximum_pdu_bytes
    ae.dimse_timeout = ae.network_timeout = settings.idle_seconds
    ae.acse_timeout = min(settings.idle_seconds, NEGOTIATION_SECONDS)  # who says nothing holds a place, too
    ae.add_supported_context(Verification)
    for sop_class in SOP_CLASSES:
        ae.add_supported_context(sop_class, list(SYNTAXES))
    return ae


def _note_rejection(event: Event) -> None:
    sent = event.primitive  # type: ignore[attr-defined]
    if isinstance(sent, A_ASSOCIATE) and sent.result in (1, 2):  # PS3.8 9.3.4: permanent, transient; not whom: any text
        log().warning("association rejected", result=sent.result, source=sent.result_source, reason=sent.diagnostic)


def _response(found: Status) -> Dataset:
    response = Dataset()
    response.Status = found.value
    if found.comment:
        response.ErrorComment = found.comment
    return response
