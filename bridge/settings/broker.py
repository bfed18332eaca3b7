"""Settings of `[broker]`."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from bridge.settings.section import Port, Section, SettingsPath


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
    probe: Literal["strict", "open", "off"] = "strict"
    probe_seconds: int = Field(60, ge=5, le=3_600)
    canary_username: str | None = None  # publishes the canary report, and then tries what only others may
    canary_password: SecretStr | None = None
    canary_password_file: SettingsPath | None = None  # read into `canary_password`
    canary_cert_file: SettingsPath | None = None
    canary_key_file: SettingsPath | None = None
    canary_port: Port | None = None  # None: `port`
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

    def as_canary(self) -> Self:
        """Return these settings with the canary's identity and port, and without the bridge's certificate."""
        return self.as_stranger(self.canary_port or self.port).model_copy(
            update={
                "username": self.canary_username,
                "password": self.canary_password,
                "cert_file": self.canary_cert_file,
                "key_file": self.canary_key_file,
            }
        )

    def as_stranger(self, port: int) -> Self:
        """Return these settings for a client of this port without user name and certificate."""
        nobody = {"username": None, "password": None, "cert_file": None, "key_file": None}
        return self.model_copy(update={**nobody, "port": port})

    @property
    def has_front(self) -> bool:
        """Return whether the front is another user than the bridge."""
        return self.front_username is not None and self.front_username != self.username

    @model_validator(mode="after")
    def _has_a_canary_of_its_own(self) -> Self:
        if self.canary_username is not None and self.canary_username in (self.username, self.front_username):
            raise ValueError("canary_username must be a user of its own, who may publish less than bridge and front")
        return self
