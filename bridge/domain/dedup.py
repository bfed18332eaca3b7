"""Deduplication of resent messages (design.md, «Duplicates»), for reports without (boot_id, seq).

A report with a timestamp is a duplicate if its bytes are the same and the device's clock has provably advanced since.
Any other report is a duplicate only if the broker redelivers it under the same packet identifier, and only if the
broker may lack the acknowledgement of the first copy: two equal presses are two presses.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from bridge.domain.records import DEDUP_INPUTS, DedupWindow, MessageDigest
from bridge.domain.reports import DeathReport, Report
from bridge.domain.utc_time import Millis

DIGEST_BYTES: Final = 16
EARLIER: Final = -1  # the generation of all connections of earlier processes


def digest_message(topic: str, payload: bytes) -> bytes:
    """Return the digest that identifies a message's content."""
    name = topic.encode()
    return hashlib.blake2b(len(name).to_bytes(4) + name + payload, digest_size=DIGEST_BYTES).digest()


def message_digest_of(
    report: Report, topic: str, payload: bytes, *, packet_id: int | None = None
) -> MessageDigest | None:
    """Return the digest that identifies a resend of this report; None where its line or its command id decides."""
    body = report.body
    if report.command_id is not None or body.is_sequenced:
        return None
    # a Will is written at the connect, before the loss: every loss has the same ts
    has_timestamp = body.ts is not None and not isinstance(body, DeathReport)
    return MessageDigest(digest_message(topic, payload), has_timestamp, packet_id)


@dataclass(slots=True)
class _Unacknowledged:
    """A message whose acknowledgement may not have reached the broker."""

    number: int
    generation: int
    redelivered: bool
    packet_id: int | None


class DedupSizes(NamedTuple):
    """Number of remembered messages per index of a `Deduplicator`."""

    with_timestamp: int
    unacknowledged: int
    by_packet_id: int


class Deduplicator:
    """Recognizes resent messages, and tracks which messages the broker may still send again.

    `generation` numbers connections. Times are of one monotonic clock, in ms. `doubt_ms`: a connection still up this
    long after an acknowledgement has delivered it, or would have been detected as dead (two keepalives).
    """

    def __init__(self, window: DedupWindow, *, doubt_ms: Millis) -> None:
        self._doubt_ms = doubt_ms
        self._with_timestamp: dict[bytes, int] = {}
        self._unacked: dict[bytes, list[_Unacknowledged]] = {}
        self._content_of: dict[int, bytes] = {}  # the latest unacknowledged, by packet identifier (at most 65,535)
        self._in_order: deque[tuple[int, MessageDigest]] = deque()
        self._acknowledged: deque[tuple[int, Millis]] = deque()  # (up to this number, since when `doubt_ms` counts)
        self._never_acked: set[int] = set()  # inputs whose acknowledgement was never sent
        self._generation: int | None = None
        self.acked_up_to = window.acked_up_to
        for number, digest in window.digests:
            self._remember(number, digest, generation=EARLIER, redelivered=False)
        if window.digests:
            self._acknowledged.append((window.digests[-1][0], 0))  # `doubt_ms` counts from the first connection on

    def check_and_add(
        self,
        number: int,
        message_digest: MessageDigest,
        *,
        redelivered: bool,
        generation: int,
        clock_proves: bool = False,
    ) -> bool:
        """Return whether this message is a duplicate, and remember it: its own acknowledgement may get lost too.

        `clock_proves`: the device's clock is past the `ts` of the message, so no new message can have that `ts`.
        """
        earlier = self._find(message_digest, generation) if redelivered else None
        is_duplicate = earlier is not None or (clock_proves and message_digest.digest in self._with_timestamp)
        if earlier is not None and earlier.generation == generation:
            redelivered = False  # redelivered within the session, so it may be once more
        self._remember(number, message_digest, generation=generation, redelivered=redelivered)
        return is_duplicate

    def remembered(self) -> Sequence[tuple[int, MessageDigest]]:
        """Return the digests of the window by input number, oldest first."""
        return tuple(self._in_order)

    @property
    def sizes(self) -> DedupSizes:
        return DedupSizes(len(self._with_timestamp), sum(map(len, self._unacked.values())), len(self._content_of))

    def _find(self, message_digest: MessageDigest, generation: int) -> _Unacknowledged | None:
        """Remove and return the earlier message that a redelivery repeats: one copy accounts for one message only."""
        candidates = self._unacked.get(message_digest.digest, [])
        for candidate in candidates:
            # MQTT 5 4.4: a resend keeps its packet identifier; another identifier is another message
            if (
                None not in (candidate.packet_id, message_digest.packet_id)
                and candidate.packet_id != message_digest.packet_id
            ):
                continue
            # a message already redelivered on this connection is not sent on it again: this is another message. One
            # first received on this connection may be: NATS redelivers within the session
            if candidate.generation < generation or not candidate.redelivered:
                candidates.remove(candidate)
                return candidate
        return None

    def release_packet_id(self, packet_id: int) -> None:
        """Treat messages with this packet identifier as acknowledged: the broker has reused it for another message."""
        content = self._content_of.pop(packet_id, None)
        if content is not None and content in self._unacked:
            self._unacked[content] = [message for message in self._unacked[content] if message.packet_id != packet_id]

    def _remember(self, number: int, message_digest: MessageDigest, *, generation: int, redelivered: bool) -> None:
        if message_digest.has_timestamp:
            self._with_timestamp[message_digest.digest] = number
        if number > self.acked_up_to:
            self._unacked.setdefault(message_digest.digest, []).append(
                _Unacknowledged(number, generation, redelivered, message_digest.packet_id)
            )
            if message_digest.packet_id is not None:
                self._content_of[message_digest.packet_id] = message_digest.digest
        self._in_order.append((number, message_digest))
        while self._in_order[0][0] <= number - DEDUP_INPUTS:
            self._forget(*self._in_order.popleft())

    def record_acks(self, number: int, now: Millis, *, except_for: Iterable[int] = ()) -> None:
        """Record that acknowledgements up to this input were sent, but for `except_for`, whose connection had ended.

        The broker sends these again, at once or at any later time (NATS: after its `ack_wait`), so they never expire.
        """
        self._acknowledged.append((number, now))
        self._never_acked.update(except_for)

    def advance_acked(self, now: Millis, *, generation: int | None, caught_up: bool = True) -> int:
        """Return the input up to which the broker has our acknowledgements; `generation` None: not connected.

        After a reconnect, everything in doubt stays in doubt for `doubt_ms`, since the broker resends it then.
        `caught_up`: every received message was processed. Until then, a resend may still be waiting.
        """
        if generation is None or generation != self._generation:
            self._generation = generation
            if self._acknowledged:
                self._acknowledged = deque([(self._acknowledged[-1][0], now)])
            return self.acked_up_to
        if not caught_up:
            return self.acked_up_to
        while self._acknowledged and now - self._acknowledged[0][1] >= self._doubt_ms:
            self.acked_up_to = max(self.acked_up_to, self._acknowledged.popleft()[0])
        for content in list(self._unacked):
            remaining = [
                message
                for message in self._unacked[content]
                if message.number > self.acked_up_to or message.number in self._never_acked
            ]
            if remaining:
                self._unacked[content] = remaining
            else:
                del self._unacked[content]
        self._never_acked &= {message.number for messages in self._unacked.values() for message in messages}
        return self.acked_up_to

    def _forget(self, number: int, message_digest: MessageDigest) -> None:
        digest = message_digest.digest
        if self._with_timestamp.get(digest) == number:
            del self._with_timestamp[digest]
        if digest in self._unacked:
            self._unacked[digest] = [message for message in self._unacked[digest] if message.number != number]
