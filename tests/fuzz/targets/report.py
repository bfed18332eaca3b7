"""Fuzz target: messages of devices and fronts, decoded and applied to the floor of a line.

An input is a sequence of records, separated by RS (0x1e): `+N` lets N ms pass; anything else is a topic, a line feed
and a payload.
"""

import json
import re
from collections.abc import Iterable
from typing import Final

from bridge.domain.line.floor import Floor
from bridge.domain.records import JournalEntry
from bridge.domain.reports import BODY_OF, Disposition, Effect, Report
from bridge.ingest.decoders import build_decoders
from tests.ingest.native_payloads import MINIMAL, USER
from tests.support.driven_intake import driven_intake, take_with_ticks
from tests.support.packing_line import T0, plant_file

MAX_BYTES: Final = 4_096
MAX_RECORDS: Final = 16  # of one input: the rest of it is ignored, so that an input takes some ms
MAX_STEP_MS: Final = 3_600_000
SEPARATOR: Final = b"\x1e"
REASON: Final = re.compile(r"[a-z_0-9]{1,40}(:[a-z_.]{1,40})?")
PLACE: Final = "north/pack/L1/bagger"
WORDS: Final = (
    *(f"report/{PLACE}/{kind}\n{{" for kind in BODY_OF),
    *(f"command/{PLACE}/{kind}\n{{" for kind in BODY_OF),
    *sorted({f'"{name}":' for body in BODY_OF.values() for name in body.__struct_fields__}),
    *(
        "L1.call.1",
        "L1.down.1",
        "L1.alert.1",
        '"running"',
        '"stopped"',
        '"fault"',
        "\x1e+60000\x1e",
        "north/pack/L1/desk",
    ),
)

_PLANT: Final = plant_file()
_DECODE: Final = build_decoders(max_bytes=65_536)


def seeds() -> Iterable[bytes]:
    reports = [f"report/{PLACE}/{kind}\n{json.dumps(body)}".encode() for kind, body in MINIMAL.items()]
    commands = [
        f"command/{PLACE}/{kind}\n{json.dumps({'id': kind, 'user': USER, **body})}".encode()
        for kind, body in MINIMAL.items()
    ]
    yield from (*reports, *commands)
    yield reports[0].partition(b"\n")[0] + b"\n" + b"[" * 2_000
    yield SEPARATOR.join((*reports[:5], b"+61000", *commands[4:9]))
    yield SEPARATOR.join((reports[9], reports[10], b"+900000", *reports[:2]))


def run(data: bytes) -> None:
    """Decode and apply each message; its effect is accounted for, its events encode, and a checkpoint continues."""
    records = [record.partition(b"\n") for record in data.split(SEPARATOR)[:MAX_RECORDS]]
    messages = [(head, head.decode(errors="replace"), payload) for head, _, payload in records]
    if not any(_decodes(topic, payload) for head, topic, payload in messages if not head.startswith(b"+")):
        return  # a floor costs ten times as much
    intake = driven_intake(Floor(_PLANT), decode=_DECODE)
    now, offset = T0, 0
    for head, topic, payload in messages:
        if head.startswith(b"+"):
            now += min(int(head[1:9]), MAX_STEP_MS) if head[1:9].isdigit() else 0
            continue
        for entry in take_with_ticks(intake, topic, payload, now=now):
            offset = _check(entry, offset)
    checkpoints = {"L1": intake.floor.checkpoint("L1")}
    assert Floor.restore(_PLANT, checkpoints).next_deadline() == intake.floor.next_deadline()


def _decodes(topic: str, payload: bytes) -> bool:
    """Return whether it is a report; the reason of any other is one of a bounded set."""
    result = _DECODE(topic, payload, received_at=T0, cause="input:1", retained=False)
    if isinstance(result, Report):
        assert (result.actor is not None) == topic.startswith("command/")
        return True
    assert result.effect is Effect.QUARANTINED
    _check_reason(result)
    return False


def _check_reason(disposition: Disposition) -> None:
    assert disposition.effect is Effect.APPLIED or REASON.fullmatch(disposition.reason or ""), disposition


def _check(entry: JournalEntry, offset: int) -> int:
    _check_reason(entry.disposition)
    for event in entry.events:
        offset += 1
        assert event.offset == offset
        assert json.loads(event.body, parse_constant=_refuse)["line_id"] == "L1"
    return offset


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
