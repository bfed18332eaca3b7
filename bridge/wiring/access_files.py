"""The revocation list while a process runs: the last valid one is in force, and whoever it revokes is told at once."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Final

import structlog

from bridge.adapters import policy_file
from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.tokens import TokenVerifier
from bridge.adapters.watched_file import Reading, WatchedFile
from bridge.domain.access.revocations import MAX_LIST_BYTES, Revocations
from bridge.settings.settings import Settings

POLL_SECONDS: Final = 0.25  # revoked access ends within a second
HANGING_SECONDS: Final = 5.0  # without an answer of the file system

log = structlog.get_logger(__name__)


class AccessFiles:
    """Keeps `authenticator` up to date with the revocation list of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Read policy, key and list; raise PolicyError or TokenKeyError.

        Without a valid list the process starts all the same, for it may have a pipeline: it admits nobody until then.
        """
        path = settings.token.revoked_file
        self.authenticator = TokenAuthenticator(
            tokens=TokenVerifier(settings.token),
            policy=policy_file.load(settings.policy_file),
            revocations=Revocations() if path is None else None,
            trust_grants=settings.token.trust_grants_claim,
        )
        self._list: WatchedFile[Revocations] | None = None
        self._fault: str | None = None
        self._checked_at = monotonic()
        if path is None:
            log.info("access.revocation_off", reason="token.revoked_file is not set")
        else:
            parse = functools.partial(Revocations.parse, source=path.name)
            self._list = WatchedFile(path, parse, max_bytes=MAX_LIST_BYTES)
            self._install(self._list, self._list.read())

    def fault(self) -> str | None:
        """Return why a front that needs the list is not ready, None if it is."""
        if self._fault is not None:
            return f"the revocation list cannot be used: {self._fault}"
        silence = monotonic() - self._checked_at
        if self._list is not None and silence > HANGING_SECONDS:
            return f"the revocation list has not been read for {silence:.0f} s"
        return None

    async def run(self, changed: Callable[[], Awaitable[None]]) -> None:
        """Follow the list until cancelled; `changed` is called after each change."""
        if self._list is None:
            return
        loop = asyncio.get_running_loop()
        # A thread of its own: those of the loop may all wait for a journal that does not answer.
        reader = ThreadPoolExecutor(1, thread_name_prefix="access-files")
        try:
            while True:
                if self._install(self._list, await loop.run_in_executor(reader, self._list.read)):
                    await changed()
                await asyncio.sleep(POLL_SECONDS)
        finally:
            reader.shutdown(wait=False)

    def _install(self, file: WatchedFile[Revocations], reading: Reading[Revocations]) -> bool:
        """Put a reading into force, unless it is faulty; return whether that changes anything."""
        self._checked_at = monotonic()
        former, self._fault = self._fault, reading.fault
        if reading.fault is not None and reading.fault != former:
            log.error("access.reload_failed", file=str(file.path), reason=reading.fault)
        if reading.value is None or reading.value == self.authenticator.revocations:
            return False
        self.authenticator.revocations = reading.value
        log.info("access.reloaded", file=str(file.path), revocations=len(reading.value))
        return True
