"""Policy and revocation list while a process runs: the last valid ones are in force, and a change is at once."""

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from time import monotonic
from typing import Final

import structlog

from bridge.adapters import policy_file
from bridge.adapters.authenticator import TokenAuthenticator
from bridge.adapters.tokens import TokenVerifier
from bridge.adapters.watched_file import Reading, WatchedFile
from bridge.domain.access.policy import Policy
from bridge.domain.access.revocations import MAX_LIST_BYTES, Revocations
from bridge.ports.metrics import Metric, MetricSample
from bridge.settings.settings import Settings

POLL_SECONDS: Final = 0.25  # what is lost ends within a second
HANGING_SECONDS: Final = 5.0  # without an answer of the file system

log = structlog.get_logger(__name__)

Content = Policy | Revocations


class AccessFile(StrEnum):
    """What the access files are called in log and metrics."""

    POLICY = "policy"
    REVOCATIONS = "revocations"


class AccessFiles:
    """Keeps `authenticator` up to date with the files of the settings."""

    def __init__(self, settings: Settings) -> None:
        """Read policy, key and list; raise PolicyError or TokenKeyError.

        Without a valid list the process starts all the same, for it may have a pipeline: it admits nobody until then.
        """
        listed = settings.token.revoked_file
        self.authenticator = TokenAuthenticator(
            tokens=TokenVerifier(settings.token),
            policy=policy_file.load(settings.policy_file),
            revocations=Revocations() if listed is None else None,
            trust_grants=settings.token.trust_grants_claim,
        )
        self._files: dict[AccessFile, WatchedFile[Content]] = {}
        if settings.policy_file is not None:
            parse = functools.partial(policy_file.parse, source=settings.policy_file.name)
            self._files[AccessFile.POLICY] = WatchedFile(
                settings.policy_file, parse, max_bytes=policy_file.MAX_POLICY_BYTES
            )
        if listed is None:
            log.info("access.revocation_off", reason="token.revoked_file is not set")
        else:
            self._files[AccessFile.REVOCATIONS] = WatchedFile(
                listed, functools.partial(Revocations.parse, source=listed.name), max_bytes=MAX_LIST_BYTES
            )
        self._faults: dict[AccessFile, str | None] = {}
        self._requested = asyncio.Event()
        self._install(self._read(), requested=False)

    def fault(self) -> str | None:
        """Return why a front is not ready, None if it is. A faulty policy is no reason: the former stays in force."""
        if AccessFile.REVOCATIONS not in self._files:
            return None
        if (fault := self._faults[AccessFile.REVOCATIONS]) is not None:
            return f"the revocation list cannot be used: {fault}"
        silence = monotonic() - self._checked_at
        return f"the revocation list has not been read for {silence:.0f} s" if silence > HANGING_SECONDS else None

    def samples(self) -> Iterator[MetricSample]:
        """Yield the metrics of the files."""
        for name in AccessFile:
            is_valid = self._faults.get(name) is None
            yield MetricSample(Metric.ACCESS_FILE_VALID, float(is_valid), {"file": name.value})
        yield MetricSample(Metric.ACCESS_REVOCATIONS, len(self.authenticator.revocations or ()))

    def reload(self) -> None:
        """Read the files now, and log the outcome even if it is the same as before."""
        self._requested.set()

    async def run(self, changed: Callable[[Collection[AccessFile]], Awaitable[None]]) -> None:
        """Follow the files until cancelled; `changed` is called after each change, with what has changed.

        The files are not read while that waits.
        """
        # A thread of its own: those of the loop may all wait for a journal that does not answer.
        reader = ThreadPoolExecutor(1, thread_name_prefix="access-files")
        try:
            while True:
                requested = await self._wait()
                readings = await asyncio.get_running_loop().run_in_executor(reader, self._read)
                if files := self._install(readings, requested=requested):
                    await changed(files)
        finally:
            reader.shutdown(wait=False)

    async def _wait(self) -> bool:
        """Wait until the next reading is due, and return whether it was requested."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await self._requested.wait()
        requested = self._requested.is_set()
        self._requested.clear()
        return requested

    def _read(self) -> Mapping[AccessFile, Reading[Content]]:
        return {name: file.read() for name, file in self._files.items()}

    def _install(self, readings: Mapping[AccessFile, Reading[Content]], *, requested: bool) -> Collection[AccessFile]:
        """Put what is valid into force; return what that changes."""
        self._checked_at = monotonic()
        has_recovered = any(self._faults.get(name) and reading.fault is None for name, reading in readings.items())
        for name, reading in readings.items():
            if reading.fault is not None and (requested or reading.fault != self._faults.get(name)):
                log.error("access.reload_failed", file=str(self._files[name].path), reason=reading.fault)
            self._faults[name] = reading.fault
        changed = [name for name, reading in readings.items() if self._replace(reading.value)]
        if changed or ((requested or has_recovered) and not any(self._faults.values())):
            revocations = self.authenticator.revocations
            log.info(
                "access.reloaded",
                roles=len(self.authenticator.policy.roles),
                revocations=None if revocations is None else len(revocations),
            )
        return changed

    def _replace(self, value: Content | None) -> bool:
        authenticator = self.authenticator
        former = authenticator.policy if isinstance(value, Policy) else authenticator.revocations
        if value is None or value == former:
            return False
        if isinstance(value, Policy):
            authenticator.policy = value
        else:
            authenticator.revocations = value
        return True
