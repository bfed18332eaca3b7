"""The composition root: `floor run` is this. It and the two sides are the only files that wire rooms together."""

import asyncio
import contextlib
import resource
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from bridge.adapters import logs, plant_file, policy_file, web_server
from bridge.adapters.clock import FloorClock
from bridge.adapters.journal import SqliteJournal
from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenKeyError, TokenVerifier
from bridge.adapters.web import make_app
from bridge.adapters.web_status import Number
from bridge.core.access.policy import PolicyError
from bridge.core.access.revocations import RevocationsError
from bridge.core.intake import Decode
from bridge.core.line.floor import Floor
from bridge.core.plant import Plant
from bridge.core.records import JournalError
from bridge.core.replay import CheckpointUnreadable, ReplayFailed, restore
from bridge.front_side import FrontSide
from bridge.gate import Gate
from bridge.ingest import native
from bridge.ownership import StreamTaken
from bridge.pipeline import CoreCrashed
from bridge.pipeline_side import PipelineSide
from bridge.settings import Settings

LINK_LOOK_SECONDS: Final = 0.5  # how late a lost broker or a silent pipeline is told: within 5 s with keepalives
REFUSALS: Final = (
    plant_file.PlantFileError,
    PolicyError,
    TokenKeyError,
    RevocationsError,
    JournalError,
    web_server.PortTaken,
    web_server.CannotListen,
    web_server.BadCertificate,
    ReplayFailed,
    CheckpointUnreadable,
)

log = structlog.get_logger(__name__)


class StartError(Exception):
    """The bridge cannot start; the text says why, a line for each reason."""


class Crashed(Exception):
    """A task failed, and the bridge with it; the text says why, a line for each reason. The log has more."""


def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; raises `StartError` or `Crashed`."""
    logs.configure(level=settings.log_level, log_format=settings.log_format)
    _raise_file_limit()
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        loop_factory = None
    else:
        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(settings))


def _raise_file_limit() -> None:
    """Take as many file descriptors as we may: every dashboard is one, and 1,024 is a common soft limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@dataclass(frozen=True, slots=True)
class Ground:
    """What must be right before anything runs."""

    plant: Plant
    gate: Gate
    decode: Decode
    journal: SqliteJournal
    floor: Floor
    listener: socket.socket


@contextlib.contextmanager
def prepared(settings: Settings) -> Iterator[Ground]:
    """Read files, keys and journal, and listen; raises `StartError` with what is wrong, and leaves nothing open."""
    decode = partial(native.decode, max_bytes=settings.broker.max_payload_bytes)
    with contextlib.ExitStack() as open_things:
        try:
            plant = plant_file.load(settings.plant_file)
            gate = Gate(
                policy=policy_file.load(settings.policy_file),
                tokens=TokenVerifier(settings.token),
                revocations=RevocationFile(settings.token.revoked_file),
                trust_grants=settings.token.trust_grants_claim,
            )
            web_server.require_certificate(settings.web)
            journal = SqliteJournal.open(settings.journal.path, stream=settings.stream)
            open_things.callback(journal.close)
            listener = open_things.enter_context(web_server.listen(settings.web.host, settings.web.port))
            floor = _restored(plant, journal, decode)
        except REFUSALS as error:
            raise StartError(str(error)) from error
        yield Ground(plant, gate, decode, journal, floor, listener)


def _restored(plant: Plant, journal: SqliteJournal, decode: Decode) -> Floor:
    restored = restore(plant, journal, decode=decode)
    log.info("floor.restored", replayed=restored.replayed, differences=restored.differences)
    for difference in restored.first_differences:
        log.warning("floor.replays_differently", number=difference.number, topic=difference.topic)
    return restored.floor


async def serve(settings: Settings) -> None:
    """Start everything, serve until a signal comes, and stop in the order that loses nothing."""
    with prepared(settings) as ground:
        house = House(settings, ground)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        try:
            await house.live(stop)
        except ExceptionGroup as group:
            raise Crashed("\n".join(map(_told, _leaves(group)))) from None


def _leaves(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _told(error: Exception) -> str:
    """Log why the bridge ends, a bug of ours with where it is, and return it in a line."""
    reason = f"{type(error).__name__}: {error}"
    explained = isinstance(
        error, JournalError | CoreCrashed | StreamTaken
    )  # says it all, or was logged where it was caught
    log.critical("bridge.crashed", reason=reason, exc_info=None if explained else error)
    return reason


class House:
    """Both sides in one process, the front fed by the pipeline's commits. A crash of any task ends all of them."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        clock = FloorClock(scale=settings.time.scale, not_before=ground.journal.last_input()[1])
        self._pipeline = PipelineSide(
            settings, journal=ground.journal, floor=ground.floor, decode=ground.decode, clock=clock
        )
        self._front = FrontSide(settings, journal=ground.journal, plant=ground.plant, gate=ground.gate, clock=clock)
        self._pipeline.pipeline.listen(self._front.front.offer)
        web = make_app(self._front.front, settings.web, root=settings.root, numbers=self._numbers)
        self._address = ground.listener.getsockname()[:2]
        self._serve_web = partial(web_server.serve, web, settings.web, listener=ground.listener)

    async def live(self, stop: asyncio.Event) -> None:
        """Run every task until `stop`, or until one of them ends the others."""
        pipeline, front = self._pipeline, self._front
        async with asyncio.TaskGroup() as tasks:
            await pipeline.claim(tasks)
            pipeline.start(tasks)
            front.start(tasks)
            serving = [
                tasks.create_task(self._tell_link(), name="link"),
                tasks.create_task(self._serve_web(), name="web"),
            ]
            log.info("bridge.up", address=self._address)
            await stop.wait()
            log.info("bridge.stopping")
            await pipeline.stop_intake()
            await asyncio.gather(front.say_goodbye(), pipeline.drain())
            for task in serving:
                task.cancel()
            front.leave()
            pipeline.leave()
        offset = pipeline.pipeline.status().offset
        log.info("bridge.stopped", offset=offset, published=pipeline.publisher.published)

    async def _tell_link(self) -> None:
        """Tell the front what it can't see: whether reports still reach the journal."""
        while True:
            status = self._pipeline.pipeline.status()
            self._front.front.set_link(
                broker_connected=self._pipeline.connected, stream_live=status.ready, last_seen=status.committed_at
            )
            await asyncio.sleep(LINK_LOOK_SECONDS)

    def _numbers(self) -> Iterator[Number]:
        yield from self._pipeline.numbers()
        yield from self._front.numbers()
