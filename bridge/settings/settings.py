"""All settings of a process, typed and immutable.

Every setting is documented in docs/settings.md; a test fails for one that is not.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bridge.domain.ids import Id
from bridge.ports.journal import RetentionLimits
from bridge.settings.broker import BrokerSettings
from bridge.settings.section import Section, SettingsPath
from bridge.settings.token import TokenSettings
from bridge.settings.web import WebSettings

Instant = Annotated[int, Field(ge=0, le=253_402_300_799_999)]  # in ms since 1970, to the year 9999
DAY_MS = 86_400_000
AUTH_FRAME_BYTES = 1_024  # of an `auth` frame, around its token
MAX_DAYS = 36_500


class ProcessRole(StrEnum):
    """The sides that a process runs: `floor run --role`."""

    BOTH = "both"
    PIPELINE = "pipeline"
    FRONT = "front"


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

    @model_validator(mode="after")
    def _lets_a_token_through(self) -> Self:
        least = self.token.max_bytes + AUTH_FRAME_BYTES
        if self.web.max_unauthenticated_bytes < least:
            raise ValueError(
                f"web.max_unauthenticated_bytes must be at least {least}: {AUTH_FRAME_BYTES} more than token.max_bytes"
            )
        return self
