"""The Store Instances Response Module, PS3.18 I.2, as DICOM JSON: UIDs and numbers alone, no text for people."""

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
_WARNINGS = 16  # texts for people: the module has every failure, headers have a bound
AGENT = "agcnn-triage"


@dataclass(frozen=True)
class Stored:
    """What the module says of an instance that was stored: the record itself, with its maps, is not held."""

    study: str
    series: str
    instance: str
    sop_class: str

    @classmethod
    def of(cls, record: Summary) -> Self:
        """Take it from a record."""
        return cls(record.study_instance_uid, record.series_instance_uid, record.sop_instance_uid, sop_class(record))


@dataclass(frozen=True)
class Failure:
    """Why a part was not stored: the error itself is not held, as its traceback holds the file.

    Attributes
    ----------
    instance, sop_class
        Empty where they are not known, or what was sent in their place is no UID.
    retryable
        Whether the same instance may be stored when it is sent again.
    text
        For people, without a value of a data set.
    """

    reason: int
    instance: str
    sop_class: str
    retryable: bool
    text: str

    @classmethod
    def of(cls, error: Exception, place: int) -> Self:
        """Take it from an error; `place` is the part's in the body, from 1."""
        if not isinstance(error, TriageError):
            return cls(reason(error), "", "", False, f"part {place}: internal_error")
        number, uids = reason(error), (error.sop_instance_uid, error.sop_class_uid)
        instance, sop_class = uids if all(map(_UID.fullmatch, uids)) else ("", "")
        text = f"part {place}: {error.code}: {error.message}"
        return cls(number, instance, sop_class, number == OUT_OF_RESOURCES, text)


@dataclass(frozen=True)
class Outcome:
    """What became of every part of a body."""

    stored: list[Stored] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def status(self) -> int:
        """PS3.18 table 10.5.3-1; 503 where nothing but room was missing, so that sending again is right."""
        if not self.failures:
            return 200
        if self.stored:
            return 202
        return 503 if all(failure.retryable for failure in self.failures) else 409


def module(outcome: Outcome, base: str, study: str | None) -> dict[str, Element]:
    """Tell an outcome.

    Parameters
    ----------
    base
        The URL of DICOMweb, without a slash at its end.
    study
        The one named in the request.
    """
    studies = {one.study for one in outcome.stored}
    of = [f"{base}/studies/{one}" for one in studies] if len(studies) == 1 or study in studies else []
    told = {"00081190": element("UR", of)}
    if outcome.stored:
        told["00081199"] = element("SQ", [_referenced(one, base) for one in outcome.stored])
    if named := [one for one in outcome.failures if one.instance]:
        told["00081198"] = element("SQ", [_failed(one) for one in named])
    if unnamed := [one for one in outcome.failures if not one.instance]:  # Other Failures: of no known instance
        told["0008119A"] = element("SQ", [_reason(one) for one in unnamed])
    return dict(sorted(told.items()))


def warnings(failures: Sequence[Failure]) -> list[str]:
    """Say for people, in values of the header Warning (RFC 7234 5.5), why parts were not stored."""
    return [warning(failure.text) for failure in failures[:_WARNINGS]]


def warning(text: str) -> str:
    """A value of the header Warning."""
    quotable = re.sub(r"[^ -~]|[\"\\]", "'", text)
    return f'299 {AGENT} "{quotable}"'


def _referenced(one: Stored, base: str) -> Element:
    url = f"{base}/studies/{one.study}/series/{one.series}/instances/{one.instance}"
    return {
        "00081150": element("UI", [one.sop_class]),
        "00081155": element("UI", [one.instance]),
        "00081190": element("UR", [url]),
    }


def _failed(failure: Failure) -> Element:
    uids = {"00081150": element("UI", [failure.sop_class]), "00081155": element("UI", [failure.instance])}
    return uids | _reason(failure)


def _reason(failure: Failure) -> Element:
    return {"00081197": element("US", [failure.reason])}
