"""Name, version and address of this product as objects state them, and the UUIDs and UIDs derived from them."""

from importlib.metadata import version
from uuid import NAMESPACE_URL, UUID, uuid5

NAME = "AG-CNN triage"
VERSION = version("agcnn-triage")
REPOSITORY = "https://github.com/agcnn-triage/agcnn-triage"


def uuid(record_id: str, part: str) -> UUID:
    """Derive a UUID from a record's id: the same part of the same record always has the same UUID.

    It derives from the version, too: another version may write an object differently, and one UUID must not name two
    objects.
    """
    return uuid5(NAMESPACE_URL, f"{REPOSITORY}/{VERSION}/{record_id}/{part}")


def uid(record_id: str, part: str) -> str:
    """Return `uuid` as a DICOM UID, PS3.5 B.2."""
    return f"2.25.{uuid(record_id, part).int}"
