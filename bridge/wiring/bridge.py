"""Composition root of `floor run`: a process with the pipeline side, the front side or both."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog
from fastapi import FastAPI

from bridge.adapters import logs, plant_file
from bridge.adapters.authenticator import Authenticator
from bridge.adapters.clock import Anchor, FloorClock
from bridge.adapters.shutdown_deadline import exit_within
from bridge.adapters.tokens import TokenKeyError
from bridge.domain.access.policy import PolicyError
from bridge.domain.access.revocations import RevocationsError
from bridge.domain.access.viewer import Viewer
from bridge.domain.events import rfc3339
from bridge.domain.line.floor import Floor
from bridge.domain.plant import Plant
from bridge.front.web import server
from bridge.front.web.app import make_front_app, make_pipeline_app
from bridge.http import listener as web_listener
from bridge.ingest.decoders import DecoderTable, build_decoders
from bridge.journal.sqlite.writer import SqliteJournal
from bridge.pipeline.pipeline import CoreCrashed
from bridge.pipeline.replay import CheckpointUnreadable, ReplayFailed, restore_floor
from bridge.pipeline.startup_inputs import journal_absence, journal_plant
from bridge.ports.journal import JournalError
from bridge.ports.metrics import MetricSample
from bridge.publisher.stream_ownership import StreamInUse
from bridge.settings import ProcessRole, Settings
from bridge.wiring import runtime
from bridge.wiring.front_side import FrontSide
from bridge.wiring.pipeline_side import PipelineSide

STOP_SECONDS: Final = 9.0  # of the 10 s after which Docker and others kill
LINK_POLL_SECONDS: Final = 0.25  # delay in reporting a lost broker or a silent pipeline: within 5 s with two keepalives
START_ERRORS: Final = (
    plant_file.PlantFileError,
    PolicyError,
    TokenKeyError,
    RevocationsError,
    JournalError,
    web_listener.WebPortInUse,
    web_listener.ListenError,
    web_listener.CertificateError,
    ReplayFailed,
    CheckpointUnreadable,
)

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The bridge cannot start; the text has a line for each reason."""


class BridgeCrashed(Exception):
    """A task failed and ended the bridge; the text has a line for each reason, the log has more."""


def run(settings: Settings, *, role: ProcessRole = ProcessRole.BOTH) -> None:
    """Run until SIGTERM or SIGINT; raise `StartError` or `BridgeCrashed`."""
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    runtime.run(serve(settings, role))


@dataclass(frozen=True, slots=True)
class PipelineResources:
    """Resources that the pipeline side holds exclusively, among all processes."""

    journal: SqliteJournal
    floor: Floor
    decode: DecoderTable
    clock: FloorClock


@dataclass(frozen=True, slots=True)
class Prepared:
    """Validated inputs and open resources, needed before any task starts."""

    plant: Plant
    authenticator: Authenticator
    listener: socket.socket
    pipeline: PipelineResources | None  # None: front only


@contextlib.contextmanager
def prepare(settings: Settings, role: ProcessRole) -> Iterator[Prepared]:
    """Read files, keys and journal, and listen; on failure raise `StartError` and leave nothing open."""
    if role is ProcessRole.FRONT and settings.time.scale != 1:
        raise StartError("time.scale: a separate front cannot run with a scale other than 1; use --role both")
    with contextlib.ExitStack() as stack:
        try:
            plant = plant_file.load(settings.plant_file)
            authenticator = Authenticator.from_settings(settings)
            web_listener.check_certificate(settings.web)
            journal = None
            if role is not ProcessRole.FRONT:
                journal = SqliteJournal.open(settings.journal.path, stream=settings.stream)
                stack.callback(journal.close)
            listener = stack.enter_context(web_listener.listen(settings.web.host, settings.web.port))
            pipeline = None if journal is None else _open_pipeline_resources(settings, plant, journal)
        except START_ERRORS as error:
            raise StartError(str(error)) from error
        yield Prepared(plant, authenticator, listener, pipeline)


def _open_pipeline_resources(settings: Settings, plant: Plant, journal: SqliteJournal) -> PipelineResources:
    decode = build_decoders(max_bytes=settings.broker.max_payload_bytes)
    time, anchor = settings.time, None
    if time.anchor_floor is not None and time.anchor_wall is not None:
        anchor = Anchor(time.anchor_floor, time.anchor_wall)
    clock = FloorClock(scale=time.scale, not_before=journal.last_input()[1], anchor=anchor)
    return PipelineResources(journal, _restore_floor(plant, journal, decode, clock), decode, clock)


def _restore_floor(plant: Plant, journal: SqliteJournal, decode: DecoderTable, clock: FloorClock) -> Floor:
    now = clock.now()
    restored = restore_floor(plant, journal, decode=decode)
    log.info("floor.restored", replayed=restored.replayed, differences=restored.differences)
    for difference in restored.first_differences:
        log.warning("floor.replay_differs", number=difference.number, topic=difference.topic)
    since = journal_absence(restored, journal, decode=decode, now=now, clock_trusted=not clock.is_ahead_of_wall())
    if since is not None:
        log.warning("floor.unobserved", reason="restart", since=rfc3339(since), seconds=(now - since) / 1_000)
    adopted = journal_plant(plant, restored, journal, decode=decode, now=now)
    if adopted.changed:
        log.info("plant.changed", lines=len(plant.lines), retired=adopted.retired)
    return adopted.floor


async def serve(settings: Settings, role: ProcessRole) -> None:
    """Start everything, serve until SIGTERM or SIGINT, and stop in an order that loses nothing."""
    runtime.exit_on_signal()
    with prepare(settings, role) as prepared:
        bridge = Bridge(settings, prepared, role)
        stop = asyncio.Event()
        runtime.stop_on_signal(stop)
        try:
            await bridge.run(stop)
        except ExceptionGroup as group:
            raise BridgeCrashed("\n".join(map(_log_crash, _leaves(group)))) from None


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _log_crash(error: Exception) -> str:
    """Log why the bridge ends, with a traceback for a bug, and return the reason in one line."""
    reason = f"{type(error).__name__}: {error}"
    # these need no traceback, or were logged where they were caught
    explained = isinstance(error, JournalError | CoreCrashed | StreamInUse)
    log.critical("bridge.crashed", reason=reason, exc_info=None if explained else error)
    return reason


class Bridge:
    """One side or both; with both, the pipeline's commits feed the front. A crash of any task ends all tasks."""

    def __init__(self, settings: Settings, prepared: Prepared, role: ProcessRole) -> None:
        resources = prepared.pipeline
        journal = None if resources is None else resources.journal
        # a separate front journals nothing: it follows steps of the host's clock by itself
        clock = FloorClock(scale=settings.time.scale, follows_steps=True) if resources is None else resources.clock
        self._role = role
        self._pipeline: PipelineSide | None = None
        self._front: FrontSide | None = None
        if resources is not None:
            self._pipeline = PipelineSide(
                settings, journal=resources.journal, floor=resources.floor, decode=resources.decode, clock=clock
            )
        if role is not ProcessRole.PIPELINE:
            self._front = FrontSide(
                settings, journal=journal, plant=prepared.plant, authenticator=prepared.authenticator, clock=clock
            )
        if self._pipeline is not None and self._front is not None:
            self._pipeline.pipeline.add_listener(self._front.front.on_committed)
        self._address = prepared.listener.getsockname()[:2]
        web = self._web_app(settings, lambda token: prepared.authenticator.admit(token, now=clock.wall_now()))
        self._serve_web = partial(server.serve, web, settings.web, listener=prepared.listener)

    def _web_app(self, settings: Settings, authenticate: Callable[[str], Viewer]) -> FastAPI:
        if self._front is not None:
            return make_front_app(
                self._front.front, settings.web, root=settings.root, samples=self._samples, ready=self._ready
            )
        assert self._pipeline is not None, "a process has at least one side"
        ready = self._pipeline.readiness
        return make_pipeline_app(settings.web, authenticate=authenticate, ready=ready, samples=self._samples)

    async def run(self, stop: asyncio.Event) -> None:
        """Run every task until `stop` is set or one of them fails."""
        async with asyncio.TaskGroup() as tasks:
            if self._pipeline is not None and not await self._claim(self._pipeline, tasks, stop):
                return
            for side in self._sides():
                side.start(tasks)
            serving = [tasks.create_task(self._serve_web(), name="web")]
            if self._pipeline is not None and self._front is not None:
                serving.append(tasks.create_task(self._report_link(self._pipeline, self._front), name="link"))
            log.info("bridge.started", role=self._role.value, address=self._address)
            await stop.wait()
            log.info("bridge.stopping")
            exit_within(STOP_SECONDS)
            if self._pipeline is not None:  # first, so that dashboards receive what it still commits
                await self._pipeline.stop_intake()
            await asyncio.gather(*(side.drain() for side in self._sides()))
            for task in serving:
                task.cancel()
            for side in self._sides():
                side.cancel()
        log.info("bridge.stopped", **(self._pipeline.final_offsets() if self._pipeline is not None else {}))

    @staticmethod
    async def _claim(pipeline: PipelineSide, tasks: asyncio.TaskGroup, stop: asyncio.Event) -> bool:
        """Claim the stream; return False if `stop` is set first, after cancelling the attempt."""
        claiming = tasks.create_task(pipeline.claim(tasks), name="claim")
        stopping = tasks.create_task(stop.wait(), name="claim-stop")
        await asyncio.wait({claiming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if claiming.done():
            return True
        claiming.cancel()
        pipeline.cancel()
        return False

    def _sides(self) -> Iterator[PipelineSide | FrontSide]:
        yield from (side for side in (self._pipeline, self._front) if side is not None)

    @staticmethod
    async def _report_link(pipeline: PipelineSide, front: FrontSide) -> None:
        """Pass to the front whether reports still reach the journal, which it can't see itself."""
        while True:
            status = pipeline.pipeline.status()
            front.front.set_link_state(
                broker_connected=pipeline.is_connected, stream_live=status.ready, last_seen=status.committed_at
            )
            await asyncio.sleep(LINK_POLL_SECONDS)

    def _ready(self) -> tuple[bool, str]:
        """Return whether dashboards see a live floor with a correct clock, and the reason."""
        assert self._front is not None, "a pipeline without a front serves its own readiness"
        ready, reason = self._front.front.readiness()
        fault = None if self._pipeline is None else self._pipeline.clock_fault()
        return (ready, reason) if not ready or fault is None else (False, fault)

    def _samples(self) -> Iterator[MetricSample]:
        for side in self._sides():
            yield from side.samples()
