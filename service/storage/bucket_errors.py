"""What an error of boto3 says."""

import re
from http import HTTPStatus

from botocore.exceptions import BotoCoreError, ClientError

_GONE = {"NoSuchKey", "NoSuchUpload"}
_EXISTS = {"PreconditionFailed", "ConditionalRequestConflict"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull"}
_OF_ONE_TRANSFER = {"BadDigest", "XAmzContentSHA256Mismatch", "FlexibleChecksumError", "IncompleteReadError"}
_REASON = re.compile(r"[A-Za-z0-9]{1,64}")


def reason(error: BotoCoreError | ClientError) -> str:
    """Return the server's code, or the name of the error; its text may quote a name or an address."""
    code = str(error.response.get("Error", {}).get("Code")) if isinstance(error, ClientError) else ""
    return code if _REASON.fullmatch(code) else type(error).__name__


def is_gone(error: BotoCoreError | ClientError) -> bool:
    """Whether there is no such object or upload."""
    return reason(error) in _GONE


def is_there(error: BotoCoreError | ClientError) -> bool:
    """Whether an object that must not exist exists, or is being written."""
    return reason(error) in _EXISTS


def knows_no_condition(error: BotoCoreError | ClientError) -> bool:
    """Whether the server does not know what was asked, such as a condition."""
    return reason(error) == "NotImplemented"


def is_full(error: BotoCoreError | ClientError) -> bool:
    """Whether the bucket has no room."""
    response = error.response if isinstance(error, ClientError) else {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status == HTTPStatus.INSUFFICIENT_STORAGE or reason(error) in _FULL


def is_of_one_transfer(error: BotoCoreError | ClientError) -> bool:
    """Whether it is a fault of the way, not of the bucket: the next request may succeed."""
    return reason(error) in _OF_ONE_TRANSFER
