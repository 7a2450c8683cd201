"""Other systems that results are sent to, and how persistently: the settings `TRIAGE_SENDING__…`."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from service.objects.kinds import DICOM_KINDS, Kind

# PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control character, not spaces alone.
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]

# HL7 v2.5.1 2.A.33, HD; its components may be given, separated by ^.
HierarchicDesignator = Annotated[str, Field(pattern=r"^[^|~\\&\x00-\x1f\x7f]*$", max_length=227)]


def _is_dicom(kind: Kind) -> Kind:
    if kind not in DICOM_KINDS:
        raise ValueError(f"expected one of {', '.join(DICOM_KINDS)}")
    return kind


DicomKind = Annotated[
    Kind, AfterValidator(_is_dicom), WithJsonSchema({"enum": [str(kind) for kind in DICOM_KINDS], "type": "string"})
]

Protocol = Literal["dicomweb", "dimse", "hl7", "webhook"]
Announced = Literal["STAT", "HIGH", "ROUTINE"]  # a test compares it with the priorities of the rule

_DICOM: tuple[Protocol, ...] = ("dicomweb", "dimse")
_HTTP: tuple[Protocol, ...] = ("dicomweb", "webhook")
_MESSAGES: tuple[Protocol, ...] = ("hl7", "webhook")
# Protocols that a key may be given for; keys that are not listed suit every protocol. Keys that older versions ignored
# for the other DICOM protocol are still ignored there.
_PROTOCOLS: dict[str, tuple[Protocol, ...]] = {
    "url": _HTTP,
    "host": ("dimse", "hl7"),
    "port": ("dimse", "hl7", "dicomweb"),
    "objects": _DICOM,
    "ae_title": _DICOM,
    "calling_ae_title": _DICOM,
    "authorization_file": ("dicomweb", "webhook", "dimse"),
    "bearer_token_file": _HTTP,
    "username": _HTTP,
    "password_file": _HTTP,
    "priorities": _MESSAGES,
    "viewer_url": _MESSAGES,
    **dict.fromkeys(
        ("secret_file", "include_patient", "repeat_seconds", "escalate_to", "escalate_seconds"), ("webhook",)
    ),
    "sending_application": ("hl7",),
    "sending_facility": ("hl7",),
    "receiving_application": ("hl7",),
    "receiving_facility": ("hl7",),
    "obr_priority": ("hl7",),
}
# Kinds that are sent by the protocols whose destinations do not choose among the DICOM objects.
_KINDS: dict[Protocol, tuple[Kind, ...]] = {"hl7": (Kind.HL7,), "webhook": (Kind.NOTIFICATION,)}
_ANNOUNCED: dict[Protocol, tuple[Announced, ...]] = {"webhook": ("STAT",)}


class Group(BaseModel):
    """A group of settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _protocol(keys: dict[str, Any]) -> Protocol:
    return "dicomweb" if keys.get("url") else "dimse"


class Destination(Group):
    """A system that results are sent to, at `url` (DICOMweb, webhook) or `host` and `port` (DIMSE, HL7 over MLLP).

    Attributes
    ----------
    objects
        DICOM objects to send; see `kinds` for other protocols.
    tls_ca
        PEM file of the authorities that the destination's certificate is checked against; switches TLS on for a `host`.
    tls_certificate, tls_key
        PEM files of this service's certificate chain, and of its private key (by default the same file).
    priorities
        Priorities of the records that are announced; see `kinds_of_a_new_record`.
    viewer_url
        Address of a radiograph on this service's page, by `{id}` of the prediction, or of its study in another viewer,
        by `{StudyInstanceUID}`; see `viewer_of`.
    secret_file, include_patient
        File of the signing secret of a webhook, and whether its messages name the patient.
    repeat_seconds
        Time between two messages about a STAT result that nobody has acknowledged; None: there is one message.
    escalate_to, escalate_seconds
        Another webhook that is alerted of a STAT result if nobody has acknowledged it after a time.
    sending_application, sending_facility, receiving_application, receiving_facility
        MSH-3 to MSH-6, HL7 v2.5.1 2.15.9.
    obr_priority
        Whether the priority is also in OBR-5 and OBR-27, for receivers that do not know TQ1 (HL7 v2.4 and older).
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    objects: tuple[DicomKind, ...] = DICOM_KINDS
    url: str | None = Field(None, pattern="^https?://")
    authorization_file: Path | None = None
    bearer_token_file: Path | None = None
    username: str | None = Field(None, pattern=r"^[^:\x00-\x1f\x7f]+$")  # RFC 7617 2
    password_file: Path | None = None
    host: str | None = None
    port: int = Field(104, ge=1, le=65535)
    protocol: Protocol = Field(default_factory=_protocol)
    ae_title: AeTitle = "ANY-SCP"
    calling_ae_title: AeTitle = "TRIAGE"
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    priorities: tuple[Announced, ...] | None = Field(None, min_length=1)
    viewer_url: str | None = Field(None, pattern=r"^https?://[^\s{}]*\{(id|StudyInstanceUID)\}[^\s{}]*$")
    secret_file: Path | None = None
    include_patient: bool = False
    repeat_seconds: float | None = Field(300, gt=0, le=86_400)
    escalate_to: str | None = None
    escalate_seconds: float = Field(900, gt=0, le=86_400)
    sending_application: HierarchicDesignator = "TRIAGE"
    sending_facility: HierarchicDesignator = ""
    receiving_application: HierarchicDesignator = ""
    receiving_facility: HierarchicDesignator = ""
    obr_priority: bool = False

    @model_validator(mode="after")
    def _is_consistent(self) -> "Destination":
        for problem in (_address_problem, _misplaced_key, _tls_problem, _secret_problem, _webhook_problem):
            if text := problem(self):
                raise ValueError(f"destination {self.name}: {text}")
        return self

    @property
    def takes_dicom(self) -> bool:
        """Whether DICOM objects are sent there, which an order may choose from."""
        return self.protocol in _DICOM

    def viewer_of(self, id: str, study_instance_uid: str) -> str:
        """Return the address that shows a prediction, or an empty string."""
        return (self.viewer_url or "").replace("{id}", id).replace("{StudyInstanceUID}", study_instance_uid)

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Kinds of objects that are sent there."""
        return _KINDS.get(self.protocol, self.objects)

    def kinds_of_a_new_record(self, priority: str) -> tuple[Kind, ...]:
        """Return the kinds to send for every new record of a priority, if `send_all` names the destination."""
        announced = self.priorities or _ANNOUNCED.get(self.protocol)
        return self.kinds if announced is None or priority in announced else ()


class Sending(Group):
    """Sending of objects to other systems."""

    destinations: tuple[Destination, ...] = Field((), description="systems to send objects to (format: docs/pacs.md)")
    send_all: tuple[str, ...] = Field((), description="names of destinations that get every new record's objects")
    attempts: int = Field(60, ge=1, description="attempts to send an object before it counts as failed")
    pause_seconds: float = Field(
        10.0, gt=0, le=3600, description="seconds to wait after a failed attempt; doubled each time, up to one hour"
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Sending":
        names = [destination.name for destination in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have the same name")
        if not set(self.send_all) <= set(names):
            raise ValueError("send_all names an unknown destination")
        for destination in self.destinations:
            self.escalations(destination)
        return self

    def escalations(self, destination: Destination) -> tuple[tuple[Destination, float], ...]:
        """Return the destinations that a result is escalated to, one after the other, and the seconds until then.

        Raises
        ------
        ValueError
            `escalate_to` names no webhook destination, or leads back to one before.
        """
        chain, after = [(destination, 0.0)], 0.0
        while (name := chain[-1][0].escalate_to) is not None:
            last, following = chain[-1][0], self.named(name)
            if following is None or following.protocol != "webhook":
                raise ValueError(f"destination {last.name}: escalate_to names no webhook destination")
            if following in [member for member, _ in chain]:
                raise ValueError(f"destination {last.name}: escalate_to leads back to {name}")
            after += last.escalate_seconds
            chain.append((following, after))
        return tuple(chain[1:])

    def named(self, name: str) -> Destination | None:
        """Return the destination of this name."""
        return next((destination for destination in self.destinations if destination.name == name), None)


def _address_problem(destination: Destination) -> str:
    """Describe what is missing or too much of the keys that say where the destination is."""
    if (destination.url is None) == (destination.host is None):
        return "expected either url or host"
    required = "url" if destination.protocol in _HTTP else "host"
    if getattr(destination, required) is None:
        return f"the protocol {destination.protocol} needs {required}"
    if destination.protocol == "hl7" and "port" not in destination.model_fields_set:
        return "the protocol hl7 needs port"
    return ""


def _misplaced_key(destination: Destination) -> str:
    given = (key for key in _PROTOCOLS if key in destination.model_fields_set)
    wrong = next((key for key in given if destination.protocol not in _PROTOCOLS[key]), "")
    return f"{wrong} has no meaning for the protocol {destination.protocol}" if wrong else ""


def _tls_problem(destination: Destination) -> str:
    """Describe why the client certificate would never be used."""
    if destination.tls_certificate is None:
        return "tls_key needs tls_certificate" if destination.tls_key else ""
    if destination.host is not None and destination.tls_ca is None:
        return "tls_certificate needs tls_ca, which switches TLS on"
    if destination.url is not None and not destination.url.startswith("https:"):
        return "tls_certificate needs a url that begins with https"
    return ""


def _secret_problem(destination: Destination) -> str:
    if (destination.username is None) != (destination.password_file is None):
        return "expected both username and password_file"
    secrets = ("authorization_file", "bearer_token_file", "password_file")
    given = [key for key in secrets if getattr(destination, key) is not None]
    return f"expected only one of {' and '.join(given)}" if len(given) > 1 else ""


def _webhook_problem(destination: Destination) -> str:
    if destination.protocol == "webhook" and destination.secret_file is None:
        return "the protocol webhook needs secret_file"
    if "escalate_seconds" in destination.model_fields_set and destination.escalate_to is None:
        return "escalate_seconds needs escalate_to"
    anonymous = destination.protocol == "webhook" and not destination.include_patient
    if anonymous and "{StudyInstanceUID}" in (destination.viewer_url or ""):
        return "viewer_url with {StudyInstanceUID} needs include_patient, as it identifies the patient; or use {id}"
    return ""
