"""Lookups of the pipeline's intake in the journal, in a thread: the intake waits for the answer, a stop does not."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import structlog

from bridge.domain.records import CommandRecord, Input
from bridge.pipeline.commit_queue import wait_until_set
from bridge.ports.journal import Journal, JournalUnavailable

T = TypeVar("T")

RETRY_SECONDS: Final = 0.5
REPLAYS: Final = 100  # quarantined inputs looked up at a time: bounds the memory of their payloads

log = structlog.get_logger(__name__)


class LookupsStopped(Exception):
    """A stop came before the journal answered."""


class JournalLookups:
    """Reads of one journal, which a stop ends within `RETRY_SECONDS` by raising `LookupsStopped`."""

    def __init__(self, journal: Journal, *, stopping: asyncio.Event, unavailable: Callable[[str], None]) -> None:
        """Call `unavailable` with the reason each time that a command cannot be looked up."""
        self._journal = journal
        self._stopping = stopping
        self._unavailable = unavailable

    async def find_command(self, user: str, command_id: str) -> CommandRecord | None:
        """Return the record of an earlier command, None if it is unknown; retry until the journal answers."""
        while True:
            try:
                return await self._read(self._journal.command, user, command_id)
            except JournalUnavailable as error:
                log.warning("pipeline.journal_unavailable", reason=str(error), retry_seconds=RETRY_SECONDS)
                self._unavailable(str(error))
            if await wait_until_set(self._stopping, asyncio.get_running_loop().time() + RETRY_SECONDS):
                raise LookupsStopped

    async def requested_replays(self) -> Sequence[Input]:
        """Return quarantined inputs to replay, at most `REPLAYS`; none while the journal is unavailable."""
        try:
            return await self._read(self._journal.requested_replays, REPLAYS)
        except JournalUnavailable as error:
            log.warning("pipeline.replays_deferred", reason=str(error))
            return ()

    async def _read(self, function: Callable[..., T], *values: Any) -> T:
        reading = asyncio.create_task(asyncio.to_thread(function, *values), name="pipeline-reading")
        stopping = asyncio.create_task(self._stopping.wait(), name="pipeline-stopping")
        try:
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({reading}, timeout=RETRY_SECONDS)
            if not reading.done():
                raise LookupsStopped
            return reading.result()
        finally:
            reading.cancel()
            stopping.cancel()
