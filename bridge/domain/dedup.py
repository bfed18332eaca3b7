"""Resends of messages already taken (DESIGN, «Duplicates»), for reports without (boot_id, seq).

A dated report is the same whenever its bytes are the same and the device's clock is proven to have moved on since. Of
any other only the broker's own redelivery counts, under the packet identifier it had, and only of a message whose
acknowledgement it may not have had: two equal presses are two presses.
"""

import hashlib
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.domain.events import Millis
from bridge.domain.records import DEDUP_INPUTS, DedupWindow, MessageDigest
from bridge.domain.reports import DeathReport, Report

DIGEST_BYTES: Final = 16
EARLIER: Final = -1  # the connections of earlier processes


def digest_message(topic: str, payload: bytes) -> bytes:
    """Return the digest by which a message's content is known."""
    name = topic.encode()
    return hashlib.blake2b(len(name).to_bytes(4) + name + payload, digest_size=DIGEST_BYTES).digest()


def message_digest_of(report: Report, topic: str, payload: bytes, *, mid: int | None = None) -> MessageDigest | None:
    """Return by what a resend of this report is known; None where its line or its command id decides."""
    body = report.body
    if report.command_id is not None or (body.boot_id is not None and body.seq is not None):
        return None
    # a Will was written before what it tells: its ts is that of the connect, the same for every loss
    dated = body.ts is not None and not isinstance(body, DeathReport)
    return MessageDigest(digest_message(topic, payload), dated, mid)


@dataclass(slots=True)
class _Open:
    """A message whose acknowledgement the broker may not have had."""

    number: int
    generation: int
    redelivered: bool
    mid: int | None


class Deduplicator:
    """What is known of the past, and what of it the broker may still send again.

    `generation` numbers connections. Times are of one monotonic clock, in ms. `doubt_ms`: a connection that lived this
    long after an acknowledgement has delivered it, or would have been noticed to be dead (two keepalives).
    """

    def __init__(self, window: DedupWindow, *, doubt_ms: Millis) -> None:
        self._doubt_ms = doubt_ms
        self._dated: dict[bytes, int] = {}
        self._unacked: dict[bytes, list[_Open]] = {}
        self._content_of: dict[int, bytes] = {}  # by packet identifier, of which there are 65,535: the latest open one
        self._in_order: deque[tuple[int, MessageDigest]] = deque()
        self._acknowledged: deque[tuple[int, Millis]] = deque()  # (up to this number, since when undoubted)
        self._never_acked: set[int] = set()  # inputs that the broker knows no acknowledgement of
        self._generation: int | None = None
        self.acked_up_to = window.acked_up_to
        for number, resend in window.digests:
            self._note(number, resend, generation=EARLIER, redelivered=False)
        if window.digests:
            self._acknowledged.append((window.digests[-1][0], 0))  # counts from the first connection on

    def check_and_add(
        self,
        number: int,
        message_digest: MessageDigest,
        *,
        redelivered: bool,
        generation: int,
        clock_proves: bool = False,
    ) -> bool:
        """Say whether this message was taken before, and remember it: its own acknowledgement may be lost too.

        `clock_proves`: the device's clock has left the `ts` of a dated message behind, so nothing new can have it.
        """
        earlier = self._find(message_digest, generation) if redelivered else None
        known = earlier is not None or (clock_proves and message_digest.digest in self._dated)
        if earlier is not None and earlier.generation == generation:
            redelivered = False  # sent again within the session, so it may be once more
        self._note(number, message_digest, generation=generation, redelivered=redelivered)
        return known

    def _find(self, message_digest: MessageDigest, generation: int) -> _Open | None:
        """Take out the earlier message that a redelivery is a copy of: a copy settles one message only."""
        candidates = self._unacked.get(message_digest.digest, [])
        for each in candidates:
            # MQTT 5 4.4: sent again under its own packet identifier; another one is another message
            if None not in (each.mid, message_digest.mid) and each.mid != message_digest.mid:
                continue
            # what was already redelivered on this connection is not sent on it again: this is another message.
            # What was first seen on it may be: NATS redelivers within the session
            if each.generation < generation or not each.redelivered:
                candidates.remove(each)
                return each
        return None

    def release_packet_id(self, mid: int) -> None:
        """Take what had this packet identifier for acknowledged: the broker has given it to another message."""
        content = self._content_of.pop(mid, None)
        if content is not None and content in self._unacked:
            self._unacked[content] = [each for each in self._unacked[content] if each.mid != mid]

    def _note(self, number: int, message_digest: MessageDigest, *, generation: int, redelivered: bool) -> None:
        if message_digest.has_timestamp:
            self._dated[message_digest.digest] = number
        if number > self.acked_up_to:
            self._unacked.setdefault(message_digest.digest, []).append(
                _Open(number, generation, redelivered, message_digest.mid)
            )
            if message_digest.mid is not None:
                self._content_of[message_digest.mid] = message_digest.digest
        self._in_order.append((number, message_digest))
        while self._in_order[0][0] <= number - DEDUP_INPUTS:
            self._forget(*self._in_order.popleft())

    def record_acks(self, number: int, now: Millis, *, except_for: Iterable[int] = ()) -> None:
        """Note that acknowledgements up to this input have gone out, `but` those whose connection had ended by then.

        The broker sends these again, at once or when it pleases (NATS: after its `ack_wait`): no time settles them.
        """
        self._acknowledged.append((number, now))
        self._never_acked.update(except_for)

    def advance_acked(self, now: Millis, *, generation: int | None, caught_up: bool = True) -> int:
        """Return the input up to which the broker has our acknowledgements; `generation` None: no connection now.

        After a new connection all that was in doubt stays so for `doubt_ms`: that is when the broker sends it again.
        `caught_up`: all that has arrived was taken; until then what is in doubt may be waiting to be.
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
            left = [
                each
                for each in self._unacked[content]
                if each.number > self.acked_up_to or each.number in self._never_acked
            ]
            if left:
                self._unacked[content] = left
            else:
                del self._unacked[content]
        self._never_acked &= {each.number for candidates in self._unacked.values() for each in candidates}
        return self.acked_up_to

    def _forget(self, number: int, resend: MessageDigest) -> None:
        if self._dated.get(resend.digest) == number:
            del self._dated[resend.digest]
        if resend.digest in self._unacked:
            self._unacked[resend.digest] = [each for each in self._unacked[resend.digest] if each.number != number]
