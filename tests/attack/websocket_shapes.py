"""Shapes of attacks on WebSockets, by strangers, by the user of one line, and by an admin."""

from collections.abc import Iterator, Sequence
from itertools import combinations, islice
from typing import Final

from bridge.domain.access.subscription_request import MAX_TARGETS
from bridge.domain.events import EventType
from bridge.http.message_reader import MAX_FRAGMENTS
from tests.attack.budgets import (
    AFTER_CLOSE,
    BYTES,
    COMMAND_PACE,
    EVICTED,
    NO_TOKEN,
    NO_WEBSOCKET,
    TOO_LONG,
    UNAUTHENTICATED,
    USER_WORK,
)
from tests.attack.shape import LINE, Attack, Shape, costly_bodies, flood, frame, messages, proof, text, user
from tests.support.bytes_dashboard import CLOSE, PING, PONG, TEXT, UPGRADE, encoded, masked
from tests.support.tokens import token

CONT: Final = 0x0
UNKNOWN_OPCODE: Final = 0x3  # RFC 6455 5.2: reserved
LONG: Final = 65_000  # bytes of a frame, below `web.max_frame_bytes`
SILENT: Final = 10_000  # connections
SUBSCRIPTIONS: Final = 100  # `web.max_subscriptions`
USER_SOCKETS: Final = 50  # `web.max_connections_per_user`
NAMES: Final = 30  # sites of a token, and lines of each: 900 grants of the 1,000 that one may have
TARGETS: Final = 30
PINGS: Final = "C1"
FRAGMENTS: Final = "C2"
FRAMES: Final = "C3"
BROKEN: Final = "C4"
STORM: Final = "C5"
UNREAD: Final = "C6"
SILENCE: Final = "C7"


def half_frames() -> Attack:
    """A stranger's frame that comes by a byte a second, on 1,000 connections."""
    head = bytes((0x80 | TEXT, 0x80 | 126)) + LONG.to_bytes(2, "big") + bytes(4)
    return Attack(
        connections=1_000, records=[(UPGRADE + head, bytes(1_000))], answer=b"", bytes_per_second=1_000, piece=1
    )


def silent_sockets() -> Attack:
    """Strangers who say nothing after the upgrade, and come again when they are sent away."""
    return Attack(connections=SILENT, records=[(UPGRADE, b"")], answer=b"", opens_per_second=SILENT)


def websocket_shapes(epoch: str) -> tuple[Shape, ...]:
    """Return the shapes against a front whose journal has this epoch."""
    fragment, last = frame(b"x", CONT, final=False), frame(b"x", CONT, final=True)
    pieces = frame(b"x", TEXT, final=False) + fragment * (MAX_FRAGMENTS - 2) + last
    return (
        Shape(number=1, name="S: empty pings", threat=PINGS, budget=UNAUTHENTICATED, attacks=(
            _flood(UPGRADE, masked(b"", PING), b"\x8a\x00"),
        )),
        Shape(number=2, name="S: pings of 125 bytes", threat=PINGS, budget=UNAUTHENTICATED, attacks=(
            _flood(UPGRADE, masked(bytes(125), PING), b"\x8a\x7d"),
        )),
        Shape(number=3, name="S: pongs", threat=PINGS,
              budget=UNAUTHENTICATED, attacks=(_flood(UPGRADE, masked(b"", PONG), b""),)),
        Shape(number=4, name="U: empty pings on 50 sockets", threat=PINGS, budget=BYTES, attacks=(
            _flood(user(), masked(b"", PING), b"\x8a\x00", connections=USER_SOCKETS),
        )),
        Shape(number=5, name="S: pings after our close frame", threat=PINGS, budget=AFTER_CLOSE, attacks=(
            _flood(UPGRADE + encoded({"type": "ping"}), masked(b"", PING), b"token missing", connections=20),
        )),
        Shape(number=6, name="U: empty fragments, endless", threat=FRAGMENTS, budget=TOO_LONG, attacks=(
            _flood(user() + frame(b"", TEXT, final=False), frame(b"", CONT, final=False), b"too many fragments"),
        )),
        Shape(number=7, name="U: messages of 1,000 one-byte fragments", threat=FRAGMENTS, budget=BYTES, attacks=(
            Attack(connections=4, records=[(user(), pieces)], answer=b"INVALID_JSON"),
        )),
        Shape(number=8, name="S: half frames, a byte a second", threat=BROKEN,
              budget=NO_TOKEN, attacks=(half_frames(),)),
        Shape(number=9, name="S: 10,000 silent after the upgrade", threat=SILENCE,
              budget=EVICTED, attacks=(silent_sockets(),)),
        Shape(number=10, name="U: pings with expensive JSON", threat=FRAMES, budget=BYTES, attacks=(
            messages(user(), map(masked, costly_bodies({"type": "ping"})), connections=10, answer=b'"pong"'),
        )),
        Shape(number=11, name="U: bad UTF-8, bad opcodes, unmasked frames, reconnecting", threat=BROKEN,
              budget=NO_WEBSOCKET, attacks=(
            Attack(connections=20, records=[(user() + broken, b"") for broken in _broken_frames()], answer=b"\x88"),
        )),
        Shape(number=12, name="U: resumes of 100 x 30 targets", threat=STORM, budget=USER_WORK, attacks=(
            messages(user(), _resumes(), connections=4, answer=b'"resumed"'),
        )),
        Shape(number=13, name="U: resumes from offset 0, unread", threat=UNREAD, budget=USER_WORK, attacks=(
            messages(
                user(), [_resume_from_the_start(epoch)],
                connections=USER_SOCKETS, answer=b'"recovered":true', reads=False,
            ),
        )),
        Shape(number=14, name="U: subscriptions with new masks, ended at once", threat=STORM,
              budget=USER_WORK, attacks=(
            messages(user(), _mask_frames(), connections=USER_SOCKETS, answer=b'"unsubscription_confirmed"'),
        )),
        Shape(number=15, name="U: 100 subscriptions, replaced in turn", threat=STORM, budget=USER_WORK, attacks=(
            messages(
                user(_many_subscriptions()), _replacing_frames(),
                connections=USER_SOCKETS, answer=b'"subscription_confirmed"',
            ),
        )),
        Shape(number=16, name="A: explain of 100 targets", threat=STORM, budget=USER_WORK, attacks=(
            messages(
                UPGRADE + encoded({"type": "auth", "token": token(user="chief")}), _explain_frames(),
                connections=10, answer=b'"explained"',
            ),
        )),
        Shape(number=17, name="U: two tokens of 900 grants in turn", threat=STORM, budget=USER_WORK, attacks=(
            messages(user(_everything()), _two_tokens(), connections=10, answer=b'"widened"'),
        )),
        Shape(number=18, name="U: commands", threat=STORM, budget=COMMAND_PACE, attacks=(
            messages(user(), _command_frames(), connections=10, answer=b'"command_result"'),
        )),
        Shape(number=19, name="U: acknowledges of unknown events", threat=STORM, budget=COMMAND_PACE, attacks=(
            messages(user(), _acknowledge_frames(), connections=10, answer=b'"id":"a-0"'),
        )),
        Shape(number=20, name="U: explain, unread", threat=UNREAD, budget=USER_WORK, attacks=(
            messages(user(), _explain_frames(), connections=USER_SOCKETS, answer=b'"explained"', reads=False),
        )),
    )  # fmt: skip


def _flood(opening: bytes, unit: bytes, answer: bytes, *, connections: int = 4) -> Attack:
    return Attack(connections=connections, records=[(opening, flood(unit))], answer=answer)


def _broken_frames() -> Sequence[bytes]:
    return masked(b"\xff\xfe"), masked(b"", UNKNOWN_OPCODE), bytes((0x80 | TEXT, 1)) + b"x", masked(b"\0", CLOSE)


def _resumes() -> Iterator[bytes]:
    """Yield frames of the most subscriptions, none of which is equal to one before."""
    for turn in range(4):
        bodies = []
        for number in range(SUBSCRIPTIONS):
            others = (f"L{turn}-{number}-{target}" for target in range(1, TARGETS))
            bodies.append({"id": f"s{number}", "subscription_type": "line", "target_id": [LINE, *others]})
        yield text({"type": "resume", "subscriptions": bodies, "since": {}})


def _resume_from_the_start(epoch: str) -> bytes:
    body = {"id": "mine", "subscription_type": "line", "target_id": LINE}
    return text({"type": "resume", "subscriptions": [body], "since": {"main": {"epoch": epoch, "offset": 0}}})


def _masks() -> Iterator[list[str]]:
    """Yield all sets of event types, the smallest first."""
    types = [kind.value for kind in EventType]
    return (list(chosen) for size in range(1, len(types)) for chosen in combinations(types, size))


def _targets(count: int) -> list[str]:
    """Return the line of the user, and others."""
    return [LINE, *(f"L-{target}" for target in range(1, count))]


def _subscribe(name: str, event_types: list[str]) -> bytes:
    body = {"type": "subscribe", "id": name, "subscription_type": "line", "target_id": _targets(MAX_TARGETS)}
    return text({**body, "filters": {"event_types": event_types}})


def _mask_frames() -> Iterator[bytes]:
    for event_types in islice(_masks(), 500):
        yield _subscribe("mine", event_types)
        yield text({"type": "unsubscribe", "id": "mine"})


def _many_subscriptions() -> dict[str, object]:
    bodies = [
        {
            "id": f"s{number}",
            "subscription_type": "line",
            "target_id": _targets(TARGETS),
            "filters": {"event_types": event_types},
        }
        for number, event_types in enumerate(islice(_masks(), SUBSCRIPTIONS))
    ]
    return {"type": "resume", "subscriptions": bodies, "since": {}}


def _replacing_frames() -> Iterator[bytes]:
    for number, event_types in enumerate(islice(_masks(), SUBSCRIPTIONS, 10 * SUBSCRIPTIONS)):
        yield _subscribe(f"s{number % SUBSCRIPTIONS}", event_types)


def _explain_frames() -> Iterator[bytes]:
    """Yield frames with the most targets, of which the user of one line may read one."""
    for turn in range(4):
        targets = [LINE, *(f"L{turn}-{target}" for target in range(1, MAX_TARGETS))]
        yield text({"type": "explain", "id": "mine", "subscription_type": "line", "target_id": targets})


def _everything() -> dict[str, object]:
    return {"type": "subscribe", "id": "all", "mqtt_filter": "#", "snapshot": False}


def _two_tokens() -> Sequence[bytes]:
    """Return two tokens whose grants have nothing in common."""
    names = [str(number) for number in range(NAMES)]
    return proof(sites=names, lines=names), proof(sites=names, lines=[f"other-{name}" for name in names])


def _command_frames() -> Iterator[bytes]:
    """Yield commands that are granted, and rejected by the line: there is no such job."""
    for number in range(2_000):
        job = {"action": "job.start", "line_id": LINE, "job_id": f"job-{number}"}
        yield text({"type": "command", "id": f"c-{number}", **job})


def _acknowledge_frames() -> Iterator[bytes]:
    for number in range(2_000):
        yield text({"type": "acknowledge", "id": f"a-{number}", "event_id": f"main:none:{number}"})
