"""Name, version and address of this product as objects state them, and the UIDs that derive from them."""

from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid5

NAME = "AG-CNN triage"
VERSION = version("agcnn-triage")
REPOSITORY = "https://github.com/agcnn-triage/agcnn-triage"


def uid(record_id: str, part: str) -> str:
    """Derive a UID from a record's id, PS3.5 B.2: the same part of the same record always has the same UID.

    It derives from the version, too: another version may write an object differently, and one UID must not name two
    objects.
    """
    return f"2.25.{uuid5(NAMESPACE_URL, f'{REPOSITORY}/{VERSION}/{record_id}/{part}').int}"
