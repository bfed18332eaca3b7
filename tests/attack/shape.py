"""Shape of an attack: what its connections send, over and over, and what a front answers to it."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.strict_json import FRACTION_VALUES, MAX_BYTES
from bridge.protocol.client_frames import MAX_VALUES
from tests.support.bytes_dashboard import TEXT, UPGRADE, encoded, masked
from tests.support.tokens import token

LINE: Final = "L1"  # of the user among the attackers
MESSAGES_PER_SECOND: Final = 45  # below `web.max_frames_per_second`
FLOOD_BYTES: Final = 65_536  # of a record of equal frames: a write's worth

LONG_FRACTION: Final = b"9007199254740993." + b"0" * 47
EXPONENT: Final = b"1e16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """Connections of one kind; programs/attack.c describes the fields. `records` are pairs: opening, repeated.

    `answer` is in what a front sends to each of them; empty: no answer is expected. `key_updates`: the connections
    are those of key_updates.py, which have no records.
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
    key_updates: bool = False

    @property
    def sends(self) -> bool:
        return self.key_updates or any(map(any, self.records))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A way to attack. `threat` is an id of docs/threats.md, `descriptors` a limit of the bridge's; None: no other.

    `budget`: the counter of /metrics, with its labels and without `floor_web_`, that the attack must raise.
    `seconds`: of the attack, at least. `tls`: whether the bridge has HTTPS.
    """

    number: int
    name: str
    threat: str
    attacks: tuple[Attack, ...]
    budget: str
    descriptors: int | None = None
    seconds: int = 0
    tls: bool = False


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


def costly_bodies(body: Mapping[str, object]) -> Sequence[bytes]:
    """Return this body with an unknown field that costs most to parse: of all that may be sent, and by the byte.

    tests/domain/test_strict_json.py compares the kinds.
    """
    head = json.dumps(body, separators=(",", ":")).encode()[:-1]
    values = MAX_VALUES // (FRACTION_VALUES + 1) - len(body)
    return [
        head + b',"unknown":[' + b",".join([number] * min(values, (MAX_BYTES - 200) // (len(number) + 1))) + b"]}"
        for number in (LONG_FRACTION, EXPONENT)
    ]
