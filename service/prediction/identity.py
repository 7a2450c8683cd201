"""Comparison of a file with the instance that is stored under its SOP Instance UID."""

import asyncio
from collections.abc import Awaitable, Callable

from service.dicom.radiograph import IDENTITY_VERSION, Header, shows_the_same
from service.errors import Conflict, MalformedDicom, NotFound, TooLarge, UnsupportedEncoding
from service.prediction.decoders import File
from service.storage.instance_store import InstanceStore, in_thread
from service.storage.record import Identity, Summary
from service.storage.records import Records

Examine = Callable[[File, Callable[..., bool], File], Awaitable[bool]]  # `Decoders.examine`


def own_identity(image: Header | Summary) -> Identity:
    """Return the identity that an image has by today's rule."""
    return Identity(image.sop_instance_uid, image.display_sha256, IDENTITY_VERSION)


async def stored_identity(
    image: Header | Summary, stored: Summary, file: File, stores: tuple[Records, InstanceStore], examine: Examine
) -> Identity:
    """Return the identity under which an image is stored.

    Where hash or version differ, the display values of the file and of the stored one are compared: the same image may
    be written in another way, and hashes of two versions say nothing of each other. The stored instance is then brought
    to today's version.

    Raises
    ------
    Conflict
        The stored file has other display values, or it is gone or cannot be read: nothing shows that it is the same.
    """
    identity, found = own_identity(image), Identity.of(stored)
    if found == identity:
        return identity
    (records, instances), name = stores, stored.instance_file
    try:
        path = instances.path(name)
        other = await in_thread(instances, instances.get, name) if path is None else path
        same = await examine(file, shows_the_same, other)
    except (MalformedDicom, UnsupportedEncoding, TooLarge, NotFound):
        raise Conflict("(0008,0018) SOPInstanceUID is already stored, with a file that cannot be compared") from None
    if not same:
        raise Conflict("(0008,0018) SOPInstanceUID is already stored with other display values")
    if found.version == identity.version:
        return found
    await asyncio.to_thread(records.renew, name, identity)
    return identity


def check_patient_and_study(existing: Summary, header: Header | Summary) -> None:
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
