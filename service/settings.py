"""Every setting of the service, from the environment: prefix `TRIAGE_`, `__` for nesting."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    WithJsonSchema,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from service.errors import ConfigurationError
from service.objects.kinds import DICOM_KINDS, Kind

PREFIX = "TRIAGE_"
SHIPPED_ARTEFACT = Path(__file__).parent / "assets" / "agcnn.onnx"


# PS3.5 6.2, VR AE: at most 16 characters, no backslash, no control character, not spaces alone.
AeTitle = Annotated[str, Field(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")]


def _is_dicom(kind: Kind) -> Kind:
    if kind not in DICOM_KINDS:
        raise ValueError(f"expected one of {', '.join(DICOM_KINDS)}")
    return kind


DicomKind = Annotated[
    Kind, AfterValidator(_is_dicom), WithJsonSchema({"enum": [str(kind) for kind in DICOM_KINDS], "type": "string"})
]


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Http(_Group):
    """Where the REST interface listens."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes any free one")
    keys: Literal["auto", "always", "never"] = Field(
        "auto", description="ask for API keys; auto: unless the address listened on is loopback"
    )


class Runtime(_Group):
    """What ONNX Runtime computes on."""

    provider: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="cuda: not ready without a GPU; auto: a GPU if there is one"
    )
    threads: int = Field(0, ge=0, description="processor threads; 0 takes the container's quota")
    max_batch: int = Field(8, ge=1, le=64, description="images in one run of the network")


class Model(_Group):
    """The artefact."""

    path: Path = Field(SHIPPED_ARTEFACT, description="the ONNX file")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="refuse any other file")


class Limits(_Group):
    """Bounds on what one request may cost."""

    max_body_bytes: int = Field(256 * 2**20, ge=2**10, description="bytes of a request body")
    max_file_bytes: int = Field(128 * 2**20, ge=2**10, description="bytes of one DICOM file, also after inflating")
    max_store_bytes: int = Field(
        8 * 2**30, ge=2**10, description="bytes of a STOW-RS body, which is never held whole; each part is a file"
    )
    max_files: int = Field(64, ge=1, description="files in one request")
    idle_seconds: float = Field(30.0, gt=0, description="time between two parts of a request body as they come")
    max_pixels: int = Field(64 * 2**20, ge=2**16, description="Rows x Columns")
    decode_seconds: float = Field(30.0, gt=0, description="time one file may take in the decoder")
    decode_memory_bytes: int = Field(4 * 2**30, ge=2**30, description="address space of a decoder process")
    decode_workers: int = Field(2, ge=1, le=64, description="decoder processes")
    max_in_flight: int = Field(32, ge=1, description="files accepted at once; more are answered 503")
    requests_per_second: float = Field(
        200.0, ge=0, description="of one client (its key, else its address); more are answered 429; 0 sets no limit"
    )
    requests_burst: int = Field(400, ge=1, description="requests of one client at once, after a rest")


class Storage(_Group):
    """Where instances are kept, and for how long."""

    folder: Path = Field(Path("data"), description="holds the instances and, by default, the database")
    keep_days: float | None = Field(
        None, gt=0, le=36_500, description="delete records and instances older than this; by default none are deleted"
    )
    min_free_bytes: int = Field(
        2**29, ge=0, description="room that stays free in the folder's file system; below it files are answered 507"
    )


class Database(_Group):
    """Where records are kept."""

    url: SecretStr | None = Field(None, description="SQLAlchemy URL; by default SQLite in the storage folder")
    password_file: Path | None = Field(None, description="holds the password of a URL that names a user and none")


class Triage(_Group):
    """Which positive findings make which priority (design: Priority)."""

    stat: tuple[str, ...] = Field(("Pneumothorax",), description="findings that make STAT")
    high: tuple[str, ...] = Field(
        ("Edema", "Consolidation", "Pneumonia", "Effusion", "Mass", "Nodule"), description="findings that make HIGH"
    )


class Dimse(_Group):
    """The C-STORE acceptor, `triage dimse`."""

    host: str = Field("127.0.0.1", description="address that `triage dimse` listens on")
    port: int = Field(11112, ge=0, le=65535, description="port it listens on; 0 takes any free one")
    ae_title: AeTitle = Field("TRIAGE", description="its AE title; an association must call it by this")
    callers: tuple[AeTitle, ...] = Field((), description="AE titles that may call; an empty list allows every one")
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
    """A system that objects are sent to: a DICOMweb service (`url`) or an AE (`host`, `port`, `ae_title`)."""

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


class Sending(_Group):
    """Objects sent to other systems."""

    destinations: tuple[Destination, ...] = Field((), description="where objects may be sent, as docs/pacs.md has it")
    send_all: tuple[str, ...] = Field((), description="names of destinations that get the objects of every new record")
    attempts: int = Field(60, ge=1, description="before an object that cannot be sent is given up")
    pause_seconds: float = Field(
        10.0, gt=0, le=3600, description="after a failure; each time twice as long, to an hour"
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


class Settings(BaseSettings):
    """One object, made once at start-up by `load`, handed down; nothing reads the environment behind its back."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # as a compose file passes on what is not set
        nested_model_default_partial_update=True,
        frozen=True,
        extra="forbid",
    )

    http: Http = Http()
    runtime: Runtime = Runtime()
    model: Model = Model()
    limits: Limits = Limits()
    storage: Storage = Storage()
    database: Database = Database()
    triage: Triage = Triage()
    dimse: Dimse = Dimse()
    sending: Sending = Sending()


def load() -> Settings:
    """Read the environment.

    Raises
    ------
    ConfigurationError
        For an unknown variable with the prefix, or a value that does not fit: one line that names it.
    """
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in names())
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; `triage check` lists those there are")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"{variable_name(*map(str, first['loc'][:2]))}: {first['msg']}") from None
    except SettingsError:
        raise ConfigurationError(
            "a setting that holds a list is not JSON, as in TRIAGE_TRIAGE__STAT='[\"Mass\"]'"
        ) from None


def names() -> tuple[str, ...]:
    """Return the environment variable of every setting, in the order of the groups."""
    return tuple(
        variable_name(group, field)
        for group, section in Settings.model_fields.items()
        for field in type(section.default).model_fields
    )


def variable_name(group: str, field: str = "") -> str:
    """Return the environment variable of a setting, or the start of those of a group."""
    return PREFIX + "__".join(filter(None, (group, field))).upper()
