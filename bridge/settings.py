"""All settings, typed and immutable: a TOML file, overridden by environment variables `FLOOR_SECTION__NAME`.

Every setting is documented in docs/settings.md; a test fails for one that is not.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from bridge.domain.ids import Id
from bridge.domain.validation_errors import Location, describe_faults, dotted
from bridge.ports.journal import RetentionLimits


def _check_path(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("a path must not contain a NUL character")
    return path


SettingsPath = Annotated[Path, AfterValidator(_check_path)]
Port = Annotated[int, Field(ge=1, le=65535)]
Instant = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # in ms since 1970, to the year 9999
DAY_MS = 86_400_000
MAX_DAYS = 36_500
MAX_SECONDS = 86_400
MAX_LIMIT = 10**9  # more than any machine has memory for
MIN_SECRET_BYTES = 32  # RFC 7518 3.2: an HS256 key is at least as long as its hash


class ProcessRole(StrEnum):
    """The sides that a process runs: `floor run --role`."""

    BOTH = "both"
    PIPELINE = "pipeline"
    FRONT = "front"


class SettingsError(Exception):
    """The settings cannot be used; the text has a line with file, location and reason for each fault."""


def file_error_reason(error: Exception) -> str:
    """Return why a file cannot be used, without its name, which an `OSError` would repeat."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class Section(BaseModel):
    """Base of all settings: immutable, without unknown names, infinities and NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class BrokerSettings(Section):
    """`[broker]`: address, users, TLS and limits of the connections to the broker."""

    host: str = "127.0.0.1"
    port: Port = 1883
    protocol: Literal["auto", "5", "3.1.1"] = "auto"
    reader: Literal["one-pass", "paho"] = "one-pass"  # with TLS always paho's
    username: str | None = None  # the pipeline's and the publisher's identity
    password: SecretStr | None = None
    password_file: SettingsPath | None = None  # read into `password` by `load`
    front_username: str | None = None  # the only identity that may write under command/; None: `username`
    front_password: SecretStr | None = None
    front_password_file: SettingsPath | None = None  # read into `front_password`
    tls: bool = False
    ca_file: SettingsPath | None = None
    cert_file: SettingsPath | None = None
    key_file: SettingsPath | None = None
    keepalive_seconds: int = Field(2, ge=2, le=300)  # a half-open connection is detected after two of them
    session_expiry_seconds: int = Field(7 * 86_400, ge=0, le=2**32 - 1)
    receive_maximum: int = Field(1_000, ge=1, le=65_535)
    max_payload_bytes: int = Field(65_536, ge=1_024, le=16 * 1024 * 1024)
    max_backoff_seconds: float = Field(30.0, gt=0, le=300)

    def as_front(self) -> Self:
        """Return these settings with the front's user as `username`, where it has one of its own."""
        if self.front_username is None:
            return self
        return self.model_copy(update={"username": self.front_username, "password": self.front_password})


class JournalSettings(Section):
    """`[journal]`: file, commits, checkpoints and retention."""

    path: SettingsPath = Path(".floor/journal.db")
    commit_max_inputs: int = Field(500, ge=1, le=10_000)
    commit_max_ms: int = Field(5, ge=0, le=1_000)  # how long a batch waits for more inputs
    checkpoint_seconds: float = Field(5.0, gt=0, le=3_600)
    keep_events_days: float = Field(90.0, ge=0, le=MAX_DAYS)  # 0: no limit, as for the next two
    keep_inputs_days: float = Field(14.0, ge=0, le=MAX_DAYS)
    max_bytes: int = Field(20 * 1024**3, ge=0, lt=2**63)

    @property
    def keep(self) -> RetentionLimits:
        """Return the retention limits, with None for 0."""
        return RetentionLimits(
            events_ms=round(self.keep_events_days * DAY_MS) or None,
            inputs_ms=round(self.keep_inputs_days * DAY_MS) or None,
            max_bytes=self.max_bytes or None,
        )


class TokenSettings(Section):
    """`[token]`: how tokens are verified, and which are revoked."""

    algorithm: Literal["HS256", "RS256", "ES256", "EdDSA"] = "HS256"
    secret: SecretStr | None = None
    secret_file: SettingsPath | None = None
    public_key_file: SettingsPath | None = None
    issuer: str = "floor"
    audience: str = "floor"
    leeway_seconds: int = Field(0, ge=0, le=60)
    trust_grants_claim: bool = False
    revoked_file: SettingsPath | None = None  # checked twice a second
    max_bytes: int = Field(8_192, ge=512, le=65_536)

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        if self.algorithm == "HS256":
            if (self.secret is None) == (self.secret_file is None):
                raise ValueError("HS256 needs exactly one of secret and secret_file")
            if self.secret is not None and len(self.secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
                raise ValueError(f"secret must have at least {MIN_SECRET_BYTES} bytes")
        elif self.public_key_file is None:
            raise ValueError(f"{self.algorithm} needs public_key_file")
        return self


class WebSettings(Section):
    """`[web]`: address, HTTPS and proxies of the web server, and limits on dashboards."""

    host: str = "127.0.0.1"
    port: Port = 8080
    root_path: str = ""
    trusted_proxies: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()  # besides the server's own; `*` allows any
    token_in_query: bool = False
    tls_cert_file: SettingsPath | None = None
    tls_key_file: SettingsPath | None = None
    max_connections: int = Field(5_000, ge=1, le=MAX_LIMIT)
    max_connections_per_user: int = Field(50, ge=1, le=MAX_LIMIT)
    max_subscriptions: int = Field(100, ge=1, le=MAX_LIMIT)  # per connection
    max_frame_bytes: int = Field(65_536, ge=1_024, le=16 * 1024 * 1024)
    max_frames_per_second: int = Field(50, ge=1, le=MAX_LIMIT)  # from one client, with a burst of twice that
    auth_timeout_seconds: float = Field(5.0, gt=0, le=60)
    stall_seconds: float = Field(30.0, gt=0, le=MAX_SECONDS)  # without progress this long: 4008
    command_timeout_seconds: float = Field(5.0, gt=0, le=MAX_SECONDS)


class TimeSettings(Section):
    """`[time]`: the scale of floor time, for simulations."""

    scale: float = Field(1.0, ge=0.001, le=3_600)  # other than 1: a simulation, and the board shows it
    anchor_floor: Instant | None = None  # floor time when the host's clock was `anchor_wall`; both in ms
    anchor_wall: Instant | None = None

    @model_validator(mode="after")
    def _has_a_whole_anchor(self) -> Self:
        if (self.anchor_floor is None) != (self.anchor_wall is None):
            raise ValueError("anchor_floor and anchor_wall belong together: give both, or neither")
        return self


_ROOT = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*")


def _check_root(root: str) -> str:
    if _ROOT.fullmatch(root) is None:
        raise ValueError('must be levels of letters, digits, ".", "_" and "-" with a "/" between them')
    return root


class Settings(Section):
    """All settings of a process, as `load` reads them; docs/settings.md describes each."""

    root: Annotated[str, AfterValidator(_check_root)] = "floor/v1"
    stream: Id = "main"
    plant_file: SettingsPath = Path("plant.toml")
    policy_file: SettingsPath | None = None  # None: the shipped policy
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    broker: BrokerSettings = BrokerSettings()
    journal: JournalSettings = JournalSettings()
    token: TokenSettings
    web: WebSettings = WebSettings()
    time: TimeSettings = TimeSettings()


CLIENT_VARIABLES = ("FLOOR_CONFIG", "FLOOR_TOKEN", "FLOOR_URL")
"""Environment variables of `floor` and the README's clients that are not settings."""


def load(path: Path | None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings; raise `SettingsError` that lists every fault. Paths are relative to the file."""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, not TOML, or an integer of too many digits
            raise SettingsError(f"{path}: {file_error_reason(error)}") from error
        tree.setdefault("plant_file", str(Settings.model_fields["plant_file"].default))
        journal = tree.setdefault("journal", {})
        if isinstance(journal, dict):
            journal.setdefault("path", str(JournalSettings.model_fields["path"].default))
        _resolve_paths(tree, path.parent)
    variables = _apply_environment(tree, os.environ if environment is None else environment)
    _read_passwords(tree.get("broker"))
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        source = str(path) if path is not None else "settings"
        faults = describe_faults(Settings, error)
        if "token" not in tree:
            faults = [(location, _NO_KEY if location == ("token",) else text) for location, text in faults]
        raise SettingsError(
            "\n".join(f"{_source(at, variables) or source}: {dotted(at) or 'settings'}: {text}" for at, text in faults)
        ) from error


_NO_KEY = "set token.secret_file, token.secret or token.public_key_file"


def _source(location: Location, variables: Mapping[Location, str]) -> str | None:
    """Return the environment variable that a location's value comes from."""
    return next((name for at, name in variables.items() if location[: len(at)] == at), None)


def _apply_environment(tree: dict[str, Any], environment: Mapping[str, str]) -> dict[Location, str]:
    """Override settings by environment variables; return the location that each of them sets."""
    variables: dict[Location, str] = {}
    for name, value in sorted(environment.items()):
        if not name.startswith("FLOOR_") or name in CLIENT_VARIABLES:
            continue
        *sections, leaf = name.removeprefix("FLOOR_").lower().split("__")
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):
                raise SettingsError(f"{name}: `{section}` is a value in the settings file, not a section")
        branch[leaf] = value.split(",") if leaf in LIST_SETTINGS else value
        variables[*sections, leaf] = name
    return variables


def _read_passwords(broker: object) -> None:
    for name in ("password", "front_password"):
        if not isinstance(broker, dict) or f"{name}_file" not in broker:
            continue
        path = broker[f"{name}_file"]
        if not isinstance(path, str) or "\0" in path:
            continue  # the model reports it
        if name in broker:
            raise SettingsError(f"broker: give {name} or {name}_file, not both")
        try:
            broker[name] = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"broker.{name}_file: {file_error_reason(error)}") from error


LIST_SETTINGS = frozenset({"trusted_proxies", "allowed_origins"})


def _resolve_paths(tree: dict[str, Any], folder: Path) -> None:
    for name, value in tree.items():
        if isinstance(value, dict):
            _resolve_paths(value, folder)
        elif isinstance(value, str) and (name.endswith("_file") or name == "path"):
            tree[name] = str(folder / value)
