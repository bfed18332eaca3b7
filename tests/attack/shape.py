"""Shape of an attack: what its connections send, over and over, and what a front answers to it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tests.support.bytes_dashboard import TEXT, UPGRADE, encoded, masked
from tests.support.tokens import token

LINE: Final = "L1"  # of the user among the attackers
MESSAGES_PER_SECOND: Final = 45  # below `web.max_frames_per_second`
FLOOD_BYTES: Final = 65_536  # of a record of equal frames: a write's worth


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Connections of one kind; programs/attack.c describes the fields. `records` are pairs: opening, repeated.

    `answer` is in what a front sends to each of them; empty: no answer is expected.
    """

    connections: int
    records: Sequence[tuple[bytes, bytes]]
    answer: bytes
    sources: int = 1
    leaves: bool = False
    reads: bool = True
    opens_per_second: int = 0
    bytes_per_second: float = 0
    piece: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A way to attack. `threat` is an id of docs/threats.md, `descriptors` a limit of the bridge's; None: no other."""

    number: int
    name: str
    threat: str
    attacks: tuple[Attack, ...]
    descriptors: int | None = None


def frame(content: bytes, opcode: int, *, final: bool) -> bytes:
    """Return a client's frame of at most 125 bytes, one of several that make a message or the last."""
    return bytes((final << 7 | opcode, 0x80 | len(content))) + bytes(4) + content


def flood(unit: bytes) -> bytes:
    """Return so many of a unit as one write takes."""
    return unit * (FLOOD_BYTES // len(unit))


def users_token(**claims: object) -> str:
    """Return a token of the user among the attackers, of one line unless the claims are others."""
    return token(user="mallory", roles=("operator",), **{"lines": [LINE], **claims})  # type: ignore[arg-type]


def proof(**claims: object) -> bytes:
    """Return the frame that authenticates this user."""
    return encoded({"type": "auth", "token": users_token(**claims)})


def user(*frames: Mapping[str, object]) -> bytes:
    """Return the opening of this user, with these frames behind it."""
    return UPGRADE + proof() + encoded(*map(dict, frames))


def messages(opening: bytes, frames: Iterable[bytes], *, connections: int, answer: bytes, reads: bool = True) -> Attack:
    """Return an attack whose connections send these messages in turn, as often as the rate of messages allows."""
    all_frames = list(frames)
    repeated = b"".join(all_frames)
    return Attack(
        connections=connections,
        records=[(opening, repeated)],
        answer=answer,
        reads=reads,
        bytes_per_second=connections * MESSAGES_PER_SECOND * len(repeated) / len(all_frames),
    )


def text(body: Mapping[str, object]) -> bytes:
    """Return a message in its frame."""
    return masked(json.dumps(body, separators=(",", ":")).encode(), TEXT)
