"""Faults that verification names."""

from pathlib import Path

import pytest

from bridge.journal.tools.verify import verify_journal
from tests.journal.tools.verification import change, faults
from tests.support.journal_samples import NOON

RECHECKSUM_INPUTS = (
    "UPDATE inputs SET checksum = checksum(number, topic, payload, received_at, retained, redelivered, effect, reason, "
    "rejected, reached_core, first_offset, event_count)"
)

WRONG = {
    "an event is missing": (("DELETE FROM events WHERE offset = 7",), "events: event 7 missing"),
    "events are missing": (("DELETE FROM events WHERE offset IN (7, 8)",), "events: events 7 to 8 missing"),
    "the last event is missing": (
        ("DELETE FROM current_events WHERE offset = 35", "DELETE FROM events WHERE offset = 35"),
        "events: event 35 missing",
    ),
    "an input is missing": (("DELETE FROM inputs WHERE number = 9",), "inputs: input 9 missing"),
    "an id of another epoch": (
        (
            "UPDATE events SET id = replace(id, 'main:', 'other:') WHERE offset = 5",
            "UPDATE events SET checksum = checksum(offset, id, topic, standing, timestamp, audience, body)",
        ),
        "events: event 5 has the id other:",
    ),
    "an input with another's events": (
        (
            "UPDATE inputs SET first_offset = 2 WHERE number = 1",
            RECHECKSUM_INPUTS,
        ),
        "inputs: the events of input 1 begin at 2, not at 1",
    ),
    "a count of one too many": (
        (
            "UPDATE counters SET count = count + 1 WHERE kind = 'counts'",
            "UPDATE counters SET checksum = checksum(kind, effect, reason, count)",
        ),
        "counters: 1",
    ),
    "two counts that only together are right": (
        (
            "UPDATE counters SET count = count + 1 WHERE kind = 'counts'",
            "UPDATE counters SET count = count - 1 WHERE kind = 'tick'",
            "UPDATE counters SET checksum = checksum(kind, effect, reason, count)",
        ),
        "counters: tick/applied is counted 10 times, and 11 are held",
    ),
    "a count without its checksum": (
        ("UPDATE counters SET count = 3 WHERE kind = 'tick'",),
        "does not match its checksum",
    ),
    "current of nothing": (
        ("INSERT INTO current_events VALUES ('a/b/c/d/e/f', 99, checksum('a/b/c/d/e/f', 99))",),
        "current_events: a/b/c/d/e/f points to event 99, which is not held",
    ),
    "current of another": (
        ("UPDATE current_events SET offset = 1, checksum = checksum(state_key, 1) WHERE state_key LIKE '%/same'",),
        "which is another's or not current",
    ),
    "current that is lost": (
        ("DELETE FROM current_events WHERE state_key LIKE '%/s0'",),
        "s0 is not current, and event",
    ),
    "current that was closed": (
        (
            "INSERT INTO current_events VALUES ('plant/packing/bagger-1/_/changeover/s1', 4, 0)",
            "UPDATE current_events SET checksum = checksum(state_key, offset)",
        ),
        "/s1 points to event 4, and the last one is closed",
    ),
    "a payload aside of what is not quarantined": (
        ("INSERT INTO quarantine VALUES (1, x'00', checksum(1, x'00'))",),
        "quarantine: a quarantined payload is held of input 1",
    ),
    "a checkpoint ahead": (
        ("UPDATE checkpoints SET number = 999", "UPDATE checkpoints SET checksum = checksum(line, number, state)"),
        "checkpoints: the checkpoint of line bagger-1 is after input 999",
    ),
    "a digest of another": (
        ("UPDATE dedup_digests SET number = 5 WHERE number = (SELECT min(number) FROM dedup_digests)",
         "UPDATE dedup_digests SET checksum = checksum(number, digest, has_timestamp, packet_id)"),
        "dedup_digests: the digest of input 5 is not that of its content",
    ),
    "retained for another": (
        (
            "UPDATE retained_topics SET state_key = 'a/b/c/d/e/f'",
            "UPDATE retained_topics SET checksum = checksum(state_key, topic)",
        ),
        "is noted as retained for a/b/c/d/e/f",
    ),
    "a decision about an applied input": (
        (f"INSERT INTO quarantine_decisions VALUES (1, 'dropped', {NOON}, checksum(1, 'dropped', {NOON}))",),
        "quarantine_decisions: input 1 was decided about",
    ),
    "a decision of another time": (
        ("UPDATE quarantine_decisions SET decided_at = decided_at + 1 WHERE number = 6",),
        "quarantine_decisions: the decision about input 6 does not match its checksum",
    ),
    "an epoch of another time": (
        ("UPDATE epochs SET began_at = began_at + 1 WHERE reason = 'plant'",),
        "does not match its checksum",
    ),
    "a crashing message that is another": (
        ("INSERT INTO crash_digests VALUES (1, zeroblob(16), 0)",),
        "crash_digests: crashing message 1 does not match its checksum",
    ),
    "an epoch that is not the last": (
        (
            "UPDATE epochs SET first_offset = 99 WHERE reason = 'created'",
            "UPDATE epochs SET checksum = checksum(epoch, first_offset, began_at, reason)",
        ),
        "is not the last of its epochs",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("statements", "message"), WRONG.values(), ids=WRONG)
def test_a_contradiction_is_reported(path: Path, statements: tuple[str, ...], message: str) -> None:
    change(path, *statements)
    assert message in faults(verify_journal(path))
