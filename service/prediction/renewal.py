"""Stored instances of an older identity rule, brought to today's."""

import asyncio
from dataclasses import replace

from service.dicom.radiograph import identity_sha256
from service.errors import Conflict, MalformedDicom, NotFound, TooLarge, UnsupportedEncoding
from service.prediction.predictor import Predictor
from service.storage.instances import Instances
from service.storage.record import Identity
from service.storage.records import Records


async def renew(records: Records, instances: Instances, predictor: Predictor, identity: Identity, data: bytes) -> None:
    """Bring a stored instance to today's version of the identity rule, so that it can be compared with a file.

    Parameters
    ----------
    identity, data
        Of the file that has arrived; where nothing is stored under its UID, or by today's rule, nothing is done.

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
