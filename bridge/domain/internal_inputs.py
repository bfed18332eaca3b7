"""Inputs that the bridge enters by itself: since when nobody watched the floor, and steps of the host's clock.

They are journalled like messages, so a replay sees them where they happened. No message has such a topic.
"""

from typing import Final, Literal, Self

import msgspec

from bridge.domain.events import Millis
from bridge.domain.records import PRESENCE_PREFIX

ABSENCE_TOPIC: Final = f"{PRESENCE_PREFIX}absence"
"""The topic of an input that says since when nobody watched the floor."""

CLOCK_TOPIC: Final = f"{PRESENCE_PREFIX}clock"
"""The topic of an input that says by how much the host's clock was set forward, up to the input's arrival."""

UNWATCHED_MS: Final = 10_000
"""A restart below this changes nothing: the broker keeps what is sent meanwhile, and what was known stays known."""


class InternalInput(msgspec.Struct, frozen=True, kw_only=True):
    """What such an input says, as JSON."""

    def encode(self) -> bytes:
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read what `encode` wrote; msgspec.MsgspecError for anything else."""
        return msgspec.json.decode(payload, type=cls)


class BridgeAbsence(InternalInput, frozen=True, kw_only=True):
    """The floor was not watched from `since` to the input's arrival, and from then on until each machine reports.

    `restart`: there was no bridge. `link`: there was no connection to the broker, which had lasted until `since`.
    """

    since: Millis
    reason: Literal["restart", "link"]


class ClockStep(InternalInput, frozen=True, kw_only=True):
    """The host's clock was set forward by so many ms: they are no time that passed on the floor."""

    by: Millis
