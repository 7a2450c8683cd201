"""Comparison of a file with the instance that is stored under its SOP Instance UID."""

import asyncio
from dataclasses import replace

from service.dicom.radiograph import Header, identity_sha256
from service.errors import Conflict, MalformedDicom, NotFound, TooLarge, UnsupportedEncoding
from service.prediction.predictor import Predictor
from service.storage.instances import Instances
from service.storage.record import Identity, Summary
from service.storage.records import Records


async def renew(identity: Identity, data: bytes, records: Records, instances: Instances, predictor: Predictor) -> None:
    """Bring a stored instance to today's version of the identity rule, so that a file can be compared with it.

    Raises
    ------
    Conflict
        The stored file is gone or cannot be read: nothing shows that it is the same image.
    """
    file = await asyncio.to_thread(records.outdated, identity)
    if file is None:
        return
    try:
        stored = await asyncio.to_thread(instances.get, file)
        if stored != data:
            identity = replace(identity, display_sha256=await predictor.examine(stored, identity_sha256))
    except (MalformedDicom, UnsupportedEncoding, TooLarge, NotFound):
        raise Conflict("(0008,0018) SOPInstanceUID is already stored, with a file that cannot be compared") from None
    await asyncio.to_thread(records.renew, file, identity)


def check_patient_and_study(existing: Summary, header: Header) -> None:
    """Refuse an image that is stored under another study or patient: acknowledging it would lose a correction.

    Raises
    ------
    Conflict
        `identity_conflict`.
    """
    patient = existing.attributes.get("PatientID")  # records from before revision 0003 have none
    if existing.study_instance_uid != header.study_instance_uid or patient not in (
        None,
        header.attributes.get("PatientID"),
    ):
        raise Conflict(
            "(0008,0018) SOPInstanceUID is already stored under another study or patient", "identity_conflict"
        )
