"""Settings of `[token]`."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from bridge.settings.section import Section, SettingsPath

MIN_SECRET_BYTES = 32  # RFC 7518 3.2: an HS256 key is at least as long as its hash


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
    revoked_file: SettingsPath | None = None
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
