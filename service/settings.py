"""Every setting of the service, from the environment: prefix `TRIAGE_`, `__` for nesting."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from service.destinations import Dimse, Sending
from service.errors import ConfigurationError

PREFIX = "TRIAGE_"
SHIPPED_ARTEFACT = Path(__file__).parent / "assets" / "agcnn.onnx"


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

    @property
    def database_url(self) -> str:
        """The URL in force, with its password.

        Raises
        ------
        ConfigurationError
            The password's file cannot be read, or the URL has no place for it.
        """
        if self.database.url is None:
            return f"sqlite:///{self.storage.folder.resolve() / 'triage.sqlite'}"
        url = self.database.url.get_secret_value()
        return url if self.database.password_file is None else _with_password(url, self.database.password_file)


@dataclass(frozen=True)
class Variable:
    """One setting as a person meets it; the values as text, a secret's as stars."""

    name: str
    value: str
    default: str
    description: str


def load() -> Settings:
    """Read the environment.

    Raises
    ------
    ConfigurationError
        For an unknown variable with the prefix, or a value that does not fit: one line that names it.
    """
    known = {variable.name for variable in variables()}
    unknown = sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)
    if unknown:
        raise ConfigurationError(f"unknown setting {unknown[0]}; `triage check` lists those there are")
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ConfigurationError(f"{_name(*map(str, first['loc'][:2]))}: {first['msg']}") from None
    except SettingsError:
        raise ConfigurationError(
            "a setting that holds a list is not JSON, as in TRIAGE_TRIAGE__STAT='[\"Mass\"]'"
        ) from None


def variables(settings: Settings | None = None) -> list[Variable]:
    """Every setting, in the order of the groups; its value is the default where no `settings` are given."""
    return [
        Variable(
            _name(group, field),
            _text(getattr(getattr(settings, group), field) if settings else info.default),
            _text(info.default),
            info.description or "",
        )
        for group, section in Settings.model_fields.items()
        for field, info in type(section.default).model_fields.items()
    ]


def _with_password(url: str, file: Path) -> str:
    user, at, rest = url.partition("@")
    if not at or ":" in user.partition("://")[2]:
        raise ConfigurationError(f"{_name('database', 'url')}: a user and no password wanted beside a password file")
    try:
        password = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigurationError(f"{_name('database', 'password_file')}: {file} cannot be read: {why}") from None
    return f"{user}:{quote(password, safe='')}@{rest}"


def _name(group: str, field: str = "") -> str:
    return PREFIX + "__".join(filter(None, (group, field))).upper()


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return json.dumps(value, default=lambda group: group.model_dump(mode="json", exclude_defaults=True))
    return "" if value is None else str(value)
