"""The core without IO: an intake on a floor, over a journal or over none."""

from bridge.domain.dedup import Deduplicator
from bridge.domain.intake import Decoder, Intake
from bridge.domain.line.floor import Floor
from bridge.domain.messages import IncomingMessage
from bridge.domain.records import DedupWindow, JournalEntry, Position
from bridge.domain.utc_time import Millis
from bridge.ingest import native
from bridge.ports.journal import Journal


def driven_intake(
    floor: Floor, journal: Journal | None = None, *, decode: Decoder = native.decode, doubt_ms: Millis = 15_000
) -> Intake:
    """Return an intake that continues where the journal ends; without one, from the first input."""
    return Intake(
        floor,
        decode=decode,
        position=Position("s", "e", 0) if journal is None else journal.position(),
        last_input=(0, 0) if journal is None else journal.last_input(),
        dedup=Deduplicator(DedupWindow((), 0) if journal is None else journal.dedup_window(), doubt_ms=doubt_ms),
        crash_digests=(),
    )


def take(
    intake: Intake, topic: str, payload: bytes, *, now: Millis, redelivered: bool = False, generation: int = 1
) -> JournalEntry:
    """Have a message decoded and applied."""
    message = IncomingMessage(topic, payload, redelivered=redelivered, generation=generation)
    return intake.apply(intake.receive(message, now=now), earlier_result=None)


def take_with_ticks(intake: Intake, topic: str, payload: bytes, *, now: Millis) -> list[JournalEntry]:
    """Apply a message as the pipeline does: deadlines before it are a separate input."""
    deadline = intake.floor.next_deadline()
    tick = intake.tick(now) if deadline is not None and deadline <= now else None
    return [*([] if tick is None else [tick]), take(intake, topic, payload, now=now)]
