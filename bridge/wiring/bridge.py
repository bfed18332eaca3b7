"""Composition root of `floor run`: a process with the pipeline side, the front side or both.

A side and its web server are imported only by a process that has them: a pipeline needs no FastAPI and no uvicorn.
"""

import asyncio
import contextlib
import socket
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from starlette.types import ASGIApp

from bridge.adapters import logs, plant_file
from bridge.adapters.clock import FloorClock
from bridge.adapters.shutdown_deadline import exit_within
from bridge.adapters.tokens import TokenKeyError
from bridge.domain.access.policy import PolicyError
from bridge.domain.plant import Plant
from bridge.domain.stream_liveness import LINK_POLL_SECONDS
from bridge.http import server
from bridge.http.access import Authenticate
from bridge.http.listener import (
    CertificateDates,
    CertificateError,
    ListenError,
    WebPortInUse,
    check_certificate,
    listen,
)
from bridge.http.load import ServerLoad, samples_of
from bridge.http.monitoring import make_monitoring_app
from bridge.ports.journal import JournalError, ReadableJournal
from bridge.ports.metrics import MetricSample
from bridge.settings.settings import ProcessRole, Settings
from bridge.settings.web import WebSettings
from bridge.wiring import runtime
from bridge.wiring.access_files import AccessFile, AccessFiles
from bridge.wiring.errors import BridgeCrashed, StartError
from bridge.wiring.stores import open_journal

if TYPE_CHECKING:
    from bridge.wiring.front_side import FrontSide
    from bridge.wiring.pipeline_resources import PipelineResources
    from bridge.wiring.pipeline_side import PipelineSide

METRICS_POOL: Final = 100  # connections to the port for metrics; none of them has a user
STOP_SECONDS: Final = 9.0  # of the 10 s after which Docker and others kill
START_ERRORS: Final = (
    plant_file.PlantFileError,
    PolicyError,
    TokenKeyError,
    JournalError,
    WebPortInUse,
    ListenError,
    CertificateError,
)

log = structlog.get_logger(__name__)


def run(settings: Settings, *, role: ProcessRole = ProcessRole.BOTH) -> None:
    """Run until SIGTERM or SIGINT; raise `StartError` or `BridgeCrashed`."""
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    runtime.run(serve(settings, role))


@dataclass(frozen=True, slots=True)
class Prepared:
    """Validated inputs and open resources, needed before any task starts."""

    plant: Plant
    access: AccessFiles
    listener: socket.socket
    metrics_listener: socket.socket | None
    pipeline: "PipelineResources | None"  # None: front only


@contextlib.contextmanager
def prepare(settings: Settings, role: ProcessRole) -> Iterator[Prepared]:
    """Read files, keys and journal, and listen; on failure raise `StartError` and leave nothing open."""
    if role is ProcessRole.FRONT and settings.time.scale != 1:
        raise StartError("time.scale: a separate front cannot run with a scale other than 1; use --role both")
    with contextlib.ExitStack() as stack:
        try:
            plant = plant_file.load(settings.plant_file)
            access = AccessFiles(settings)
            check_certificate(settings.web)
            _warn_of_dates(settings.web)
            if role is ProcessRole.FRONT:
                pipeline, listener, metrics = None, *_listen(settings.web, stack)
            else:
                from bridge.wiring import pipeline_resources  # noqa: PLC0415 - as of this module

                journal = open_journal(settings.journal.path, stream=settings.stream)
                stack.callback(journal.close)
                listener, metrics = _listen(settings.web, stack)
                pipeline = pipeline_resources.restore(settings, plant, journal)
        except START_ERRORS as error:
            raise StartError(str(error)) from error
        yield Prepared(plant, access, listener, metrics, pipeline)


def _warn_of_dates(web: WebSettings) -> None:
    """Log that clients refuse the certificate, or will soon; devices are served all the same, so it stops no start."""
    dates = CertificateDates.read(web)
    if dates is not None and (reason := dates.warning(datetime.now(UTC))):
        log.warning("web.certificate_dates", file=str(web.tls_cert_file), reason=reason)


def _listen(web: WebSettings, stack: contextlib.ExitStack) -> tuple[socket.socket, socket.socket | None]:
    """Return the listener of the web server, and that of the metrics if they have one."""
    listener, metrics = stack.enter_context(listen(web.host, web.port)), None
    if web.metrics_port is not None:
        metrics = stack.enter_context(listen(web.metrics_host, web.metrics_port, setting="metrics_port"))
    return listener, metrics


async def serve(settings: Settings, role: ProcessRole) -> None:
    """Start everything, serve until SIGTERM or SIGINT, and stop in an order that loses nothing."""
    runtime.exit_on_signal()
    with prepare(settings, role) as prepared:
        bridge = Bridge(settings, prepared, role)
        stop = asyncio.Event()
        runtime.stop_on_signal(stop)
        runtime.reload_on_signal(prepared.access.reload)
        try:
            await bridge.run(stop)
        except ExceptionGroup as group:
            reasons = [_log_crash(error, explained=bridge.explains(error)) for error in _leaves(group)]
            raise BridgeCrashed("\n".join(reasons)) from None


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _log_crash(error: Exception, *, explained: bool) -> str:
    """Log why the bridge ends, with a traceback unless it is explained, and return the reason in one line."""
    reason = f"{type(error).__name__}: {error}"
    log.critical("bridge.crashed", reason=reason, exc_info=None if explained else error)
    return reason


class Bridge:
    """One side or both; with both, the pipeline's commits feed the front. A crash of any task ends all tasks."""

    def __init__(self, settings: Settings, prepared: Prepared, role: ProcessRole) -> None:
        resources = prepared.pipeline
        # a separate front journals nothing: it follows steps of the host's clock by itself
        clock = FloorClock(scale=settings.time.scale, follows_steps=True) if resources is None else resources.clock
        self._role = role
        self._access = prepared.access
        self._pipeline = None if resources is None else self._make_pipeline(settings, resources)
        self._front: FrontSide | None = None
        if role is not ProcessRole.PIPELINE:
            journal = None if resources is None else resources.journal
            self._front = self._make_front(settings, prepared, journal, clock)
        if self._pipeline is not None and self._front is not None:
            self._pipeline.pipeline.add_listener(self._front.front.on_committed)
        self._address = prepared.listener.getsockname()[:2]
        web_load, metrics_load = ServerLoad(settings.web), ServerLoad(settings.web, pool_limit=METRICS_POOL)
        self._web_loads = web_load, metrics_load  # who attacks one server takes no turn, and no room, of the other
        app = self._make_app(
            settings, lambda token: self._access.authenticator.admit_in_steps(token, now=clock.wall_now())
        )
        self._servers = {"web": partial(server.serve, app, web_load, listener=prepared.listener)}
        if prepared.metrics_listener is not None:
            app = make_monitoring_app(authenticate=None, ready=self._ready, samples=self._samples)
            self._servers["web-metrics"] = partial(server.serve, app, metrics_load, listener=prepared.metrics_listener)

    @staticmethod
    def _make_pipeline(settings: Settings, resources: "PipelineResources") -> "PipelineSide":
        from bridge.wiring.pipeline_side import PipelineSide  # noqa: PLC0415 - as of this module

        return PipelineSide(
            settings,
            journal=resources.journal,
            floor=resources.floor,
            decode=resources.decode,
            clock=resources.clock,
        )

    @staticmethod
    def _make_front(
        settings: Settings, prepared: Prepared, journal: ReadableJournal | None, clock: FloorClock
    ) -> "FrontSide":
        from bridge.wiring.front_side import FrontSide  # noqa: PLC0415

        return FrontSide(
            settings, journal=journal, plant=prepared.plant, authenticator=prepared.access.authenticator, clock=clock
        )

    def _make_app(self, settings: Settings, authenticate: Authenticate) -> ASGIApp:
        """Return the app of the front, or of a pipeline alone: health and metrics."""
        if self._front is not None:
            from bridge.front.web.app import make_front_app  # noqa: PLC0415 - as of this module

            return make_front_app(
                self._front.front, settings.web, root=settings.root, samples=self._samples, ready=self._ready
            )
        return make_monitoring_app(authenticate=authenticate, ready=self._ready, samples=self._samples)

    def explains(self, error: Exception) -> bool:
        """Return whether the text of an error that ends the bridge needs no traceback."""
        return isinstance(error, JournalError) or (self._pipeline is not None and self._pipeline.explains(error))

    async def run(self, stop: asyncio.Event) -> None:
        """Run every task until `stop` is set or one of them fails."""
        async with asyncio.TaskGroup() as tasks:
            if self._pipeline is not None and not await self._claim(self._pipeline, tasks, stop):
                return
            for side in self._sides():
                side.start(tasks)
            serving = [
                *(tasks.create_task(serve_web(), name=name) for name, serve_web in self._servers.items()),
                tasks.create_task(self._access.run(self._follow_access), name="access-files"),
            ]
            if self._pipeline is not None and self._front is not None:
                serving.append(tasks.create_task(self._report_link(self._pipeline, self._front), name="link"))
            log.info("bridge.started", role=self._role.value, address=self._address)
            await stop.wait()
            log.info("bridge.stopping")
            exit_within(STOP_SECONDS)
            if self._pipeline is not None:  # first, so that dashboards receive what it still commits
                await self._pipeline.stop_intake()
            if self._front is not None:
                self._front.drain()
            if self._pipeline is not None:
                await self._pipeline.drain()
            for task in serving:
                task.cancel()
            for side in self._sides():
                side.cancel()
        log.info("bridge.stopped", **(self._pipeline.final_offsets() if self._pipeline is not None else {}))

    @staticmethod
    async def _claim(pipeline: "PipelineSide", tasks: asyncio.TaskGroup, stop: asyncio.Event) -> bool:
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

    def _sides(self) -> "Iterator[PipelineSide | FrontSide]":
        yield from (side for side in (self._pipeline, self._front) if side is not None)

    @staticmethod
    async def _report_link(pipeline: "PipelineSide", front: "FrontSide") -> None:
        """Pass to the front whether reports still reach the journal, which it can't see itself."""
        while True:
            status, fault = pipeline.pipeline.status(), pipeline.intake_fault()
            front.front.set_link_state(
                broker_connected=pipeline.is_connected,
                stream_live=status.ready and fault is None,
                last_seen=status.committed_at,
                reason=fault if status.ready else status.reason,
            )
            await asyncio.sleep(LINK_POLL_SECONDS)

    async def _follow_access(self, changed: Collection[AccessFile]) -> None:
        if self._front is not None:
            await self._front.follow_access(changed)

    def _ready(self) -> tuple[bool, str]:
        """Return whether dashboards get live data, of a broker that lets nobody else in, and the reason."""
        if self._front is None:
            assert self._pipeline is not None, "a process has at least one side"
            return self._pipeline.readiness()
        ready, reason = self._front.front.readiness()
        fault = self._access.fault() or (None if self._pipeline is None else self._pipeline.fault())
        return (ready, reason) if not ready or fault is None else (False, fault)

    def _samples(self) -> Iterator[MetricSample]:
        yield from samples_of(self._web_loads)
        yield from self._access.samples()
        for side in self._sides():
            yield from side.samples()
