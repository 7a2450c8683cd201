"""All settings of the service, read from environment variables named `TRIAGE_GROUP__SETTING`."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from service.cage_settings import Confinement
from service.destinations import Group, Sending
from service.dimse_settings import Dimse
from service.errors import ConfigurationError
from service.http_settings import Http
from service.metrics_settings import Metrics
from service.triage.default_rule import HIGH, STAT

PREFIX = "TRIAGE_"
_NO_JSON = "a setting that holds a list must be JSON, as in TRIAGE_TRIAGE__STAT='[\"Mass\"]'"
SHIPPED_ARTEFACT = Path(__file__).parent / "assets" / "agcnn.onnx"


class Runtime(Group):
    """ONNX Runtime: provider, threads and batch size."""

    provider: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="auto: use a GPU if there is one; cuda: do not start without one; cpu: use none"
    )
    threads: int = Field(0, ge=0, description="processor threads of the network; 0: as many as the container may use")
    max_batch: int = Field(8, ge=1, le=64, description="maximum number of images in one run of the network")


class Model(Group):
    """The artefact."""

    path: Path = Field(SHIPPED_ARTEFACT, description="path of the artefact, an ONNX file")
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="required SHA-256 of the artefact; the service starts with no other",
    )


class Limits(Group):
    """Limits on the size, time and number of requests."""

    max_body_bytes: int = Field(256 * 2**20, ge=2**10, description="maximum bytes of a request body, except of STOW-RS")
    max_file_bytes: int = Field(128 * 2**20, ge=2**10, description="maximum bytes of a DICOM file, also when inflated")
    max_store_bytes: int = Field(8 * 2**30, ge=2**10, description="maximum bytes of a STOW-RS request body")
    max_files: int = Field(64, ge=1, description="maximum number of files in one request")
    idle_seconds: float = Field(
        30.0, gt=0, description="maximum seconds without new bytes of a request body, or without reading an answer"
    )
    read_seconds: float = Field(3600.0, gt=0, description="maximum seconds to wait for all bytes of a request body")
    min_bytes_per_second: int = Field(
        2**14,
        ge=1,
        description="least average rate of a request body, and of reading an answer, after the first idle seconds",
    )
    max_pixels: int = Field(64 * 2**20, ge=2**16, description="maximum number of pixels, Rows x Columns")
    decode_seconds: float = Field(30.0, gt=0, description="maximum seconds to decode one file")
    decode_memory_bytes: int = Field(
        4 * 2**30, ge=2**30, description="maximum bytes of a decoder process's address space"
    )
    decode_workers: int = Field(
        0,
        ge=0,
        le=64,
        description="number of decoder processes; 0: as many as the container has cores, up to 16",
    )
    max_in_flight: int = Field(32, ge=1, description="files processed at once; more are answered 503")
    max_bytes_in_flight: int = Field(
        4 * 2**30,
        ge=2**10,
        description="bytes of request bodies that arrive at once, by their headers; more are answered 503",
    )
    max_client_bytes_in_flight: int = Field(
        2**30, ge=2**10, description="the same of one client (API key, else address); of one body at least"
    )
    requests_per_second: float = Field(
        200.0,
        ge=0,
        description="requests per second of one client (API key, else address); more are answered 429; 0: no limit",
    )
    requests_burst: int = Field(400, ge=1, description="requests that an idle client may send at once")


class Storage(Group):
    """Where the instances are, and how long they are kept."""

    folder: Path = Field(Path("data"), description="folder of the DICOM files and, by default, the database")
    url: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+[a-z0-9](/[\w./-]*)?$",
        description="s3://bucket/prefix for the DICOM files; by default they are in the folder",
    )
    endpoint: str | None = Field(
        None, pattern=r"^https?://[^\s@?#]+$", description="URL of S3-compatible storage; by default AWS"
    )
    keep_days: float | None = Field(
        None, gt=0, le=36_500, description="delete records and instances after this many days; by default never"
    )
    cache_bytes: int = Field(
        2**30,
        ge=0,
        description="maximum bytes of kept objects, made from records or fetched from a bucket; 0: keep none",
    )
    min_free_bytes: int = Field(2**29, ge=0, description="free bytes of the disk below which files are refused (507)")

    @model_validator(mode="after")
    def _an_endpoint_is_that_of_a_bucket(self) -> "Storage":
        if self.endpoint is not None and self.url is None:
            raise ValueError("TRIAGE_STORAGE__ENDPOINT is of no use without TRIAGE_STORAGE__URL")
        return self


class Database(Group):
    """Connection to the database of the records."""

    url: SecretStr | None = Field(None, description="SQLAlchemy URL; by default SQLite in the storage folder")
    password_file: Path | None = Field(None, description="file with the database password, if the URL has none")


class Triage(Group):
    """Findings that make a radiograph urgent, and what is shown of a prediction."""

    stat: tuple[str, ...] | None = Field(
        None,
        description=f"positive findings that give priority STAT; by default {', '.join(STAT)}, if the artefact has it",
    )
    high: tuple[str, ...] | None = Field(
        None,
        description="positive findings that give priority HIGH; by default those of the artefact's labels that are "
        f"among {', '.join(HIGH)}",
    )
    presentation: Literal["full", "triage_only"] = Field(
        "full",
        description="full, or triage_only: priority and findings, but no map, box or other place in the image",
    )


Word = Annotated[str, Field(max_length=64, pattern=r"\p{L}")]


class Objects(Group):
    """Objects for other systems."""

    codes: Path | None = Field(
        None, description="CSV table of the site's codes for findings (docs/conformance.md, 7); by default none"
    )


class Gate(Group):
    """Words of the site beside those of `service.dicom.words`, and the age of the patients."""

    chest_words: tuple[Word, ...] = Field((), description="words for the chest (docs/conformance.md, 9)")
    other_part_words: tuple[Word, ...] = Field((), description="words for other parts of the body")
    frontal_words: tuple[Word, ...] = Field((), description="words for a frontal view")
    lateral_words: tuple[Word, ...] = Field((), description="words for a lateral view")
    other_view_words: tuple[Word, ...] = Field((), description="words for other views, such as oblique or lordotic")
    neutral_words: tuple[Word, ...] = Field((), description="words that say nothing of body part or view")
    minimum_age: int | None = Field(
        None, ge=0, le=120, description="age in years below which patients are refused (422); by default none are"
    )

    @model_validator(mode="after")
    def _a_word_has_one_meaning(self) -> "Gate":
        lists = (set(map(str.casefold, value)) for value in vars(self).values() if isinstance(value, tuple))
        seen: set[str] = set()
        for words in lists:
            if seen & words:
                raise ValueError("the same word is in two lists of TRIAGE_GATE__…_WORDS")
            seen |= words
        return self


class Settings(BaseSettings):
    """All settings: created once at start-up by `load` and passed on; nothing else reads these variables."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,  # a compose file passes a variable that is not set as an empty one
        nested_model_default_partial_update=True,
        frozen=True,
        extra="forbid",
    )

    http: Http = Http()
    runtime: Runtime = Runtime()
    model: Model = Model()
    limits: Limits = Limits()
    decoders: Confinement = Confinement()
    storage: Storage = Storage()
    database: Database = Database()
    triage: Triage = Triage()
    gate: Gate = Gate()
    objects: Objects = Objects()
    dimse: Dimse = Dimse()
    sending: Sending = Sending()
    metrics: Metrics = Metrics()


def load() -> Settings:
    """Read the settings from the environment.

    Raises
    ------
    ConfigurationError
        A variable with the prefix is unknown, or its value is invalid; the message is one line that names it.
    """
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in names())
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; `triage check` lists all settings")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "tuple_type":  # text that is not JSON, in a list that may be missing
            raise ConfigurationError(_NO_JSON) from None
        where = [str(part) for part in first["loc"]]
        inside = f"{'.'.join(where[2:])}: " if where[2:] else ""  # the place in a list, as in 0.port
        raise ConfigurationError(f"{variable_name(*where[:2])}: {inside}{first['msg']}") from None
    except SettingsError:
        raise ConfigurationError(_NO_JSON) from None


def names() -> tuple[str, ...]:
    """Return the environment variable of every setting, in the order of the groups."""
    return tuple(
        variable_name(group, field)
        for group, section in Settings.model_fields.items()
        for field in type(section.default).model_fields
    )


def variable_name(group: str, field: str = "") -> str:
    """Return the name of a setting's environment variable or, without `field`, what those of its group begin with."""
    return PREFIX + "__".join(filter(None, (group, field))).upper()
