"""The structured report of each predicted file, sent to a destination of the settings."""

import asyncio
import hashlib
from dataclasses import replace

from service.destinations import Destination
from service.errors import ConfigurationError, Overloaded
from service.sending import dicom_web
from service.sending.authorization import authorization
from service.sending.failure import SendingFailed
from service.settings import Settings
from service.storage.record import Record

UNSENT = "report_unsent"


def destination_of(settings: Settings, name: str) -> Destination:
    """Return the destination that takes the reports.

    Raises
    ------
    ConfigurationError
        There is none of this name, it takes no DICOM objects, or a file that it names cannot be read.
    """
    destination = settings.sending.named(name)
    if destination is None or not destination.takes_dicom:
        raise ConfigurationError(
            f"--report-to {name}: expected the name of a DICOMweb or DIMSE destination of TRIAGE_SENDING__DESTINATIONS"
        )
    authorization(destination)  # before the first file, and not after it
    return destination


def identified(record: Record) -> Record:
    """Return a record under an id that is the same each time, so that its report has the same UIDs.

    An archive that had the report before the run was killed is then sent the same instance again, not another one.
    """
    named = f"{record.sop_instance_uid} {record.display_sha256} {record.artefact_sha256}"
    return replace(record, id=hashlib.sha256(named.encode()).hexdigest()[:32])


async def send(destination: Destination, report: bytes) -> None:
    """Store a report at its destination.

    Raises
    ------
    Overloaded
        `report_unsent`: the destination did not take it.
    ConfigurationError
        A file that the destination names cannot be used.
    """
    try:
        if destination.protocol == "dicomweb":
            await dicom_web.store(destination, report)
        else:
            from service.sending import store_scu  # imports pynetdicom

            await asyncio.to_thread(store_scu.store, destination, report)
    except SendingFailed as error:
        message = f"the report was not taken by the destination {destination.name} ({error.code})"
        raise Overloaded(message, UNSENT) from error
