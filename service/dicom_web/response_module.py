"""The Store Instances Response Module, PS3.18 I.2, as DICOM JSON; it holds UIDs and numbers but no text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from service.dicom_web.dicom_json import Element, element
from service.dicom_web.study import sop_class
from service.errors import TriageError
from service.http.failure_reasons import OUT_OF_RESOURCES, reason
from service.storage.record import Summary

_UID = re.compile(r"[0-9.]{1,64}")
_MAX_WARNINGS = 16  # headers are bounded; the module has every failure
AGENT = "agcnn-triage"


@dataclass(frozen=True)
class Stored:
    """The UIDs of a stored instance; the record itself, with its maps, is not kept in memory."""

    study: str
    series: str
    instance: str
    sop_class: str

    @classmethod
    def of(cls, record: Summary) -> Self:
        """Return the UIDs of a record."""
        return cls(record.study_instance_uid, record.series_instance_uid, record.sop_instance_uid, sop_class(record))


@dataclass(frozen=True)
class Failure:
    """Why a part was not stored; the error itself is not kept, as its traceback refers to the file.

    Attributes
    ----------
    instance, sop_class
        UIDs of the instance; empty if they are unknown or invalid.
    retryable
        Whether sending the same instance again may succeed.
    text
        Description for people, free of values from the data set.
    """

    reason: int
    instance: str
    sop_class: str
    retryable: bool
    text: str

    @classmethod
    def of(cls, error: Exception, place: int) -> Self:
        """Return the failure for an error in part number `place` of the body, counted from 1."""
        if not isinstance(error, TriageError):
            return cls(reason(error), "", "", False, f"part {place}: internal_error")
        number, uids = reason(error), (error.sop_instance_uid, error.sop_class_uid)
        instance, sop_class = uids if all(map(_UID.fullmatch, uids)) else ("", "")
        text = f"part {place}: {error.code}: {error.message}"
        return cls(number, instance, sop_class, number == OUT_OF_RESOURCES, text)


@dataclass(frozen=True)
class Outcome:
    """The results of all parts of a body."""

    stored: list[Stored] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def status(self) -> int:
        """HTTP status, PS3.18 table 10.5.3-1; 503 if sending the same body again may succeed."""
        if not self.failures:
            return 200
        if self.stored:
            return 202
        return 503 if all(failure.retryable for failure in self.failures) else 409


def module(outcome: Outcome, base: str, study: str | None) -> dict[str, Element]:
    """Return the response module for an outcome.

    Parameters
    ----------
    base
        Base URL of DICOMweb, without a trailing slash.
    study
        Study Instance UID in the URL of the request.
    """
    studies = {stored.study for stored in outcome.stored}
    urls = [f"{base}/studies/{uid}" for uid in studies] if len(studies) == 1 or study in studies else []
    elements = {"00081190": element("UR", urls)}
    if outcome.stored:
        elements["00081199"] = element("SQ", [_referenced(stored, base) for stored in outcome.stored])
    if known := [failure for failure in outcome.failures if failure.instance]:
        elements["00081198"] = element("SQ", [_failed(failure) for failure in known])
    if unknown := [failure for failure in outcome.failures if not failure.instance]:  # Other Failures Sequence
        elements["0008119A"] = element("SQ", [_reason(failure) for failure in unknown])
    return dict(sorted(elements.items()))


def warnings(failures: Sequence[Failure]) -> list[str]:
    """Return values of the Warning header (RFC 7234 5.5) that describe the failures."""
    return [warning(failure.text) for failure in failures[:_MAX_WARNINGS]]


def warning(text: str) -> str:
    """Return a value of the Warning header."""
    quotable = re.sub(r"[^ -~]|[\"\\]", "'", text)
    return f'299 {AGENT} "{quotable}"'


def _referenced(stored: Stored, base: str) -> Element:
    url = f"{base}/studies/{stored.study}/series/{stored.series}/instances/{stored.instance}"
    return {
        "00081150": element("UI", [stored.sop_class]),
        "00081155": element("UI", [stored.instance]),
        "00081190": element("UR", [url]),
    }


def _failed(failure: Failure) -> Element:
    uids = {"00081150": element("UI", [failure.sop_class]), "00081155": element("UI", [failure.instance])}
    return uids | _reason(failure)


def _reason(failure: Failure) -> Element:
    return {"00081197": element("US", [failure.reason])}
