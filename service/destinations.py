"""Other systems that results are sent to, and how persistently: the settings `TRIAGE_SENDING__…`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from service.objects.kinds import DICOM_KINDS, Kind

# PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control character, not spaces alone.
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]


def _is_dicom(kind: Kind) -> Kind:
    if kind not in DICOM_KINDS:
        raise ValueError(f"expected one of {', '.join(DICOM_KINDS)}")
    return kind


DicomKind = Annotated[
    Kind, AfterValidator(_is_dicom), WithJsonSchema({"enum": [str(kind) for kind in DICOM_KINDS], "type": "string"})
]


class Group(BaseModel):
    """A group of settings: immutable, and unknown names are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Destination(Group):
    """A system that objects are sent to: a DICOMweb service (`url`) or a DICOM AE (`host`, `port`, `ae_title`)."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    objects: tuple[DicomKind, ...] = DICOM_KINDS
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
            raise ValueError("expected either url or host")
        return self


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
        return self

    def named(self, name: str) -> Destination | None:
        """Return the destination of this name."""
        return next((destination for destination in self.destinations if destination.name == name), None)
