"""Settings of what this service talks DICOM with: who may send to it, and where it sends to."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control character, not spaces alone.
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]
Object = Literal["sr", "segmentation", "secondary_capture", "presentation_state"]
OBJECTS: tuple[Object, ...] = ("sr", "segmentation", "secondary_capture", "presentation_state")


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dimse(_Group):
    """The C-STORE door, `triage dimse`."""

    host: str = Field("127.0.0.1", description="address that `triage dimse` listens on")
    port: int = Field(11112, ge=0, le=65535, description="port it listens on; 0 takes any free one")
    ae_title: AeTitle = Field("TRIAGE", description="its AE title; an association must call it by this")
    callers: tuple[AeTitle, ...] = Field((), description="AE titles that may call; an empty list lets every one")
    maximum_associations: int = Field(10, ge=1, le=1000, description="at once; more are rejected")
    # Measured on loopback: 10 MB in 105 ms at 16 KiB, in 59 ms at 128 KiB.
    maximum_pdu_bytes: int = Field(128 * 2**10, ge=4096, le=2**20, description="length of a PDU that it takes")
    idle_seconds: float = Field(60.0, gt=0, description="time an association may be silent, also in the midst of a PDU")
    service_url: str = Field("http://127.0.0.1:8000", description="where `triage serve` answers")
    service_seconds: float = Field(60.0, gt=0, description="time the service may take for one file")
    key_file: Path | None = Field(None, description="holds an API key with the scope predict; read for each file")
    memory_bytes: int = Field(2 * 2**30, ge=2**29, description="address space of the process")
    tls_certificate: Path | None = Field(None, description="PEM, its chain with it; TLS is on where it is set")
    tls_key: Path | None = Field(None, description="PEM; by default in the certificate's file")
    tls_ca: Path | None = Field(None, description="PEM; callers must show a certificate that one of these signed")


class Destination(_Group):
    """Where objects are sent: a DICOMweb service (`url`), or an AE (`host`, `port`, `ae_title`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    objects: tuple[Object, ...] = OBJECTS
    url: str | None = Field(None, pattern="^https?://")
    authorization_file: Path | None = None
    host: str | None = None
    port: int = Field(104, ge=1, le=65535)
    ae_title: AeTitle = "ANY-SCP"
    calling_ae_title: AeTitle = "TRIAGE"
    tls_ca: Path | None = None

    @model_validator(mode="after")
    def _is_one_kind(self) -> "Destination":
        if (self.url is None) == (self.host is None):
            raise ValueError("either url or host wanted")
        return self


class Sending(_Group):
    """Results out."""

    destinations: tuple[Destination, ...] = Field((), description="where objects may be sent, as docs/pacs.md has it")
    send_all: tuple[str, ...] = Field((), description="names of destinations that get the objects of every new record")
    attempts: int = Field(60, ge=1, description="before an object that cannot be sent is given up")
    pause_seconds: float = Field(
        10.0, gt=0, le=3600, description="after a failure; each time twice as long, to an hour"
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Sending":
        names = [one.name for one in self.destinations]
        if len(set(names)) < len(names):
            raise ValueError("two destinations have one name")
        if not set(self.send_all) <= set(names):
            raise ValueError("send_all names a destination that there is not")
        return self


def named(destinations: Sequence[Destination], name: str) -> Destination | None:
    """Find a destination by its name."""
    return next((one for one in destinations if one.name == name), None)
