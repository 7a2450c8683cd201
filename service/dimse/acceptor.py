"""The C-STORE and C-ECHO acceptor, which forwards data sets undecoded to the REST service.

This process never parses a data set. The REST service parses and decodes it in processes with limits. With any status
other than success the sender keeps the instance.
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

from service.dimse import counts
from service.dimse.forward import Forward, new_request_id
from service.dimse.places import Places, Server
from service.dimse.status import SUCCESS, Status
from service.dimse.wire import Wire, tls_context
from service.dimse_settings import Dimse
from service.errors import ConfigurationError
from service.http.failure_reasons import CANNOT_UNDERSTAND, CLASS_NOT_SUPPORTED, OUT_OF_RESOURCES
from service.telemetry import describe, log, request

# Radiographs also come as Secondary Capture. FOR PROCESSING is accepted so that the gate can state why it is refused.
SOP_CLASSES = (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
)
# In each context the first of these that is proposed is accepted. Uncompressed ones come first, as every sender can
# produce them. A test compares the list with what the decoder reads.
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
RELEASE_SECONDS = 2.0
_TURN_SECONDS = 0.02


class Acceptor:
    """A server of DICOM associations.

    Parameters
    ----------
    max_file_bytes
        Size limit of the REST service for one file; longer data sets are not received.

    Raises
    ------
    ConfigurationError
        The server cannot listen at the address, or a file that a setting names cannot be read.
    """

    def __init__(self, settings: Dimse, max_file_bytes: int) -> None:
        self._forward = Forward(settings)
        self._stores = Counter()
        self._closing = False
        self._ae = application_entity(settings)
        places = Places(settings.maximum_associations, settings.maximum_negotiating)
        try:
            self._server = self._ae.make_server(
                (settings.host, settings.port),
                ssl_context=tls_context(settings.tls_certificate, settings.tls_key, settings.tls_ca),
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, Wire(settings, max_file_bytes).open),
                    (evt.EVT_CONN_OPEN, places.enter),
                    (evt.EVT_CONN_CLOSE, places.leave),
                    (evt.EVT_REQUESTED, places.request),
                    (evt.EVT_ACSE_SENT, places.reject),
                    (evt.EVT_ACSE_SENT, _note_answer),
                    (evt.EVT_C_STORE, self._store),
                ],
                server_class=Server,
                places=places,
            )
        except OSError as error:
            why = f"{settings.host} port {settings.port}: {error.strerror}"
            raise ConfigurationError(f"cannot listen on {why}") from None
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        counts.OPEN.set_function(lambda: len(self._ae.active_associations))

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self._server.server_address[1])

    def close(self, grace_seconds: float) -> None:
        """Refuse new associations and stores, finish the stores in progress, then abort the open associations."""
        self._closing = True
        self._server.shutdown()
        self._stores.wait_for_none(grace_seconds)
        # To send the last response and let the sender release. Turns are counted, as a clock runs on while the process
        # stands still.
        for _ in range(round(RELEASE_SECONDS / _TURN_SECONDS)):
            if not self._ae.active_associations:
                break
            time.sleep(_TURN_SECONDS)
        self._ae.shutdown()
        self._forward.close()

    def _store(self, event: Event) -> Dataset:
        start = time.perf_counter()
        store = cast(C_STORE, event.request)
        request_id = new_request_id()
        with self._stores, request(request_id):
            status = self._forwarded(event, request_id)
            seconds = time.perf_counter() - start
            counts.STORES.labels(f"{status.value:04X}").inc()
            counts.STORE_SECONDS.observe(seconds)
            log().info(
                "stored" if status.value == SUCCESS else "not stored",
                sop_instance_uid=str(store.AffectedSOPInstanceUID),
                status=f"{status.value:04X}",
                reason=status.comment,
                ms=round(1e3 * seconds, 1),
            )
        return _response(status)

    def _forwarded(self, event: Event, request_id: str) -> Status:
        if self._closing:
            return Status(OUT_OF_RESOURCES, "closing")
        if cast(C_STORE, event.request).AffectedSOPClassUID not in SOP_CLASSES:
            return Status(CLASS_NOT_SUPPORTED, "sop_class_not_supported")
        instance = str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
        if not (instance.isascii() and instance.isprintable()):  # it becomes a header
            return Status(CANNOT_UNDERSTAND, "malformed_dicom")
        try:
            data = event.encoded_dataset()
            return self._forward.store(data, instance, request_id)
        except MemoryError:  # other associations hold the memory
            return Status(OUT_OF_RESOURCES, "out_of_memory")
        except Exception as error:  # for example a UID in the command that is too long for a file header
            log().error("unexpected", **describe(error))
            return Status(CANNOT_UNDERSTAND, "malformed_dicom")


class Counter:
    """The number of stores in progress."""

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
        """Wait until no store is in progress, at most `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: not self._count, seconds)


def application_entity(settings: Dimse) -> AE:
    """Return the application entity: permitted callers, presentation contexts and timeouts."""
    pynetdicom._config.LOG_HANDLER_LEVEL = "none"  # its handlers write data sets into the log
    logging.getLogger("pynetdicom").setLevel(logging.WARNING)
    ae = AE(settings.ae_title)
    ae.require_called_aet = True
    ae.require_calling_aet = list(settings.callers)
    # `Places` counts them: as many connections as may negotiate may be ending, too.
    ae.maximum_associations = settings.maximum_associations + 2 * settings.maximum_negotiating + 1
    ae.maximum_pdu_size = settings.maximum_pdu_bytes
    ae.dimse_timeout = ae.network_timeout = settings.idle_seconds
    ae.acse_timeout = min(settings.idle_seconds, settings.negotiation_seconds)
    ae.add_supported_context(Verification)
    for sop_class in SOP_CLASSES:
        ae.add_supported_context(sop_class, list(SYNTAXES))
    return ae


def _note_answer(event: Event) -> None:
    """Count the answer to a request for an association, and log a rejection."""
    answer = event.primitive  # type: ignore[attr-defined]
    if not isinstance(answer, A_ASSOCIATE):
        return
    counts.ASSOCIATIONS.labels("rejected" if answer.result else "accepted").inc()
    if answer.result in (1, 2):  # PS3.8 9.3.4: rejected permanent, transient
        # The AE titles are not logged: they may hold any text.
        log().warning(
            "association rejected", result=answer.result, source=answer.result_source, reason=answer.diagnostic
        )


def _response(status: Status) -> Dataset:
    response = Dataset()
    response.Status = status.value
    if status.comment:
        response.ErrorComment = status.comment
    return response
