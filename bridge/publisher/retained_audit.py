"""Audit of the broker's retained messages, once after every new connection, while the publisher continues."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from bridge.domain.messages import Publication
from bridge.domain.retained_scan import RetainedScan
from bridge.domain.stream_status import StreamOwner
from bridge.ports.broker import BrokerUnavailable, MqttVersion, RetainedMessageReader, SubscribeRefused

SCAN_SECONDS = 30.0  # limit of one scan: the broker may be slow, or may never return our status
MAX_SCANS = 20  # limit per connection of incomplete scans: clearing topics may have no effect
FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 30.0
QUEUE_TOO_SHORT = "the broker did not send all: its queue is too short (Mosquitto: max_queued_messages)"
NOT_READABLE = "the broker did not return our retained messages: check its ACL (mosquitto/acl.services) and retention"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AuditResult:
    """Result of one scan. `restored`: what was republished before it; `reason`: why it ended early, if it did."""

    scan: RetainedScan
    restored: Sequence[Publication]
    reason: str | None


class RetainedAudit:
    """Runs scans of the retained messages, one at a time; `result` holds the outcome until it is used."""

    def __init__(self, reader: RetainedMessageReader, *, root: str, stream: str, owner: StreamOwner) -> None:
        self._reader = reader
        self._root = root
        self._stream = stream
        self._owner = owner
        self._running: asyncio.Task[None] | None = None
        self._start_scan: Callable[[], asyncio.Task[None]]
        self._scans_left = 0
        self._logged_reason: str | None = None
        self.result: AuditResult | None = None
        self.is_outdated = False
        """Whether something that may have to be cleared was published after the scan."""

    def start(
        self,
        tasks: asyncio.TaskGroup,
        *,
        protocol: MqttVersion,
        restored: Sequence[Publication],
        done: Callable[[], None],
    ) -> None:
        """Start a scan in this task group, after the stream's own status and `restored` were confirmed."""
        self.stop()
        self._scans_left = MAX_SCANS
        self._start_scan = lambda: tasks.create_task(
            self._scan_retained(protocol, restored, done), name="publisher-retained"
        )
        self._running = self._start_scan()

    def try_again(self) -> bool:
        """Scan again on this connection and discard the result; return False after `MAX_SCANS` scans."""
        self._scans_left -= 1
        if self._scans_left <= 0:
            return False
        self.result, self.is_outdated = None, False
        self._running = self._start_scan()
        return True

    def stop(self) -> None:
        """Stop scanning and discard the result."""
        self.result, self.is_outdated = None, False
        if self._running is not None:
            self._running.cancel()

    def log_incomplete(self, audit: AuditResult, missing: Sequence[str]) -> None:
        """Log what may have been missed, once per reason. `missing`: topics that must have been there."""
        reason = audit.reason
        if reason is None and not audit.scan.is_complete:
            reason = QUEUE_TOO_SHORT
        if reason is None and missing:
            reason = NOT_READABLE
        if reason is not None and reason != self._logged_reason:
            log.warning(
                "publisher.audit_incomplete",
                reason=reason,
                retained=audit.scan.messages,
                missing=len(missing),
                example=missing[0] if missing else None,
            )
        self._logged_reason = reason

    async def _scan_retained(
        self, protocol: MqttVersion, restored: Sequence[Publication], done: Callable[[], None]
    ) -> None:
        delay = FIRST_RETRY_SECONDS
        while True:
            scan = RetainedScan(self._root, stream=self._stream, owner=self._owner)
            try:
                async with asyncio.timeout(SCAN_SECONDS):
                    await self._reader.read(scan.filters, scan.add, protocol=protocol)
            except BrokerUnavailable as gone:
                # the publisher's own connection may be up; if it is lost too, a new audit starts
                log.info("publisher.audit_failed", reason=gone.reason, retry_seconds=delay)
                await asyncio.sleep(delay)
                delay = min(2 * delay, MAX_RETRY_SECONDS)
                continue
            except TimeoutError:
                reason: str | None = f"not complete within {SCAN_SECONDS:g} s"
            except SubscribeRefused as refused:
                reason = f"the broker refused the subscription: {refused}"
            else:
                reason = scan.stop_reason
            self.result = AuditResult(scan, restored, reason)
            return done()
