"""The composition root: the only file that wires the rooms together. `floor run` is this."""

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
from bridge.adapters.broker import BrokerLink
from bridge.adapters.clock import FloorClock
from bridge.adapters.journal import SqliteJournal
from bridge.adapters.revocation_file import RevocationFile
from bridge.adapters.tokens import TokenKeyError, TokenVerifier
from bridge.adapters.web import make_app
from bridge.adapters.web_status import Number, pipeline_numbers
from bridge.core.access.claims import Claims, TokenRevoked
from bridge.core.access.policy import Policy, PolicyError
from bridge.core.access.revocations import RevocationsError
from bridge.core.dashboard.commands import directory_of
from bridge.core.events import Millis
from bridge.core.intake import Decode
from bridge.core.line.floor import Floor
from bridge.core.plant import Plant
from bridge.core.published import will_of
from bridge.core.records import JournalError
from bridge.core.replay import CheckpointUnreadable, ReplayFailed, restore
from bridge.front.front import Front
from bridge.ingest import native
from bridge.pipeline import CoreCrashed, Pipeline
from bridge.publisher import Publisher
from bridge.settings import Settings

REVOCATION_LOOK_SECONDS: Final = 0.5  # revoked access ends within a second
LINK_LOOK_SECONDS: Final = 0.5  # how late a lost broker or a silent pipeline is told: within 5 s with keepalives
DRAIN_SECONDS: Final = 4.0  # what a stop waits for the publisher, of 10 in all
DROPPED_TOPIC: Final = "$SYS/broker/publish/messages/dropped"
DIGITS: Final = 20  # of a count of 64 bits
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
    policy: Policy
    tokens: TokenVerifier
    revocations: RevocationFile
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
            policy = policy_file.load(settings.policy_file)
            tokens = TokenVerifier(settings.token)
            revocations = RevocationFile(settings.token.revoked_file)
            web_server.require_certificate(settings.web)
            journal = SqliteJournal.open(settings.journal.path, stream=settings.stream)
            open_things.callback(journal.close)
            listener = open_things.enter_context(web_server.listen(settings.web.host, settings.web.port))
            floor = _restored(plant, journal, decode)
        except REFUSALS as error:
            raise StartError(str(error)) from error
        yield Ground(plant, policy, tokens, revocations, decode, journal, floor, listener)


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
    explained = isinstance(error, JournalError | CoreCrashed)  # says it all, or was logged where it was caught
    log.critical("bridge.crashed", reason=reason, exc_info=None if explained else error)
    return reason


class House:
    """Every room of one process, wired. A crash of any task ends all of them, with its reason."""

    def __init__(self, settings: Settings, ground: Ground) -> None:
        journal = ground.journal
        clock = self._clock = FloorClock(scale=settings.time.scale, not_before=journal.last_input()[1])
        simulated = settings.time.scale != 1
        broker, root, stream = settings.broker, settings.root, settings.stream
        self._intake = BrokerLink(
            broker,
            client_id=f"floor-{stream}",
            durable=True,
            username=broker.username,
            password=broker.password,
            subscriptions=[(f"{root}/report/#", 1), (f"{root}/command/#", 1)],
        )
        self._outlet = BrokerLink(
            broker,
            client_id=f"floor-{stream}-publisher",
            durable=False,
            username=broker.username,
            password=broker.password,
            optional=[(DROPPED_TOPIC, 0)],  # not every broker shows its $SYS, and events go out all the same
            will=will_of(journal.position(), root=root, simulated=simulated),
            goodbye=lambda: self.publisher.status(online=False),
        )
        self._dropped = 0
        self._tokens, self._revocations = ground.tokens, ground.revocations
        front_user = broker.front_username is not None
        self._desk = BrokerLink(
            broker,
            client_id=f"floor-{stream}-front",
            durable=False,
            username=broker.front_username if front_user else broker.username,
            password=broker.front_password if front_user else broker.password,
        )
        self.publisher = Publisher(self._outlet, journal, clock, root=root, simulated=simulated)
        self.front = Front(
            settings=settings.web,
            journal=journal,
            verify=self._verify,
            policy=ground.policy,
            trust_grants=settings.token.trust_grants_claim,
            clock=clock,
            publish=lambda topic, payload: self._desk.publish(f"{root}/{topic}", payload),
            directory=directory_of(ground.plant),
            simulated=simulated,
        )
        self.pipeline = Pipeline(
            self._intake,
            journal,
            ground.floor,
            clock,
            decode=ground.decode,
            root=root,
            commit_max_inputs=settings.journal.commit_max_inputs,
            commit_max_ms=settings.journal.commit_max_ms,
            checkpoint_seconds=settings.journal.checkpoint_seconds,
            ack_doubt_seconds=3.0 * broker.keepalive_seconds,  # a half-open connection is noticed after two
            listeners=[self.front.offer, self.publisher.on_committed],
        )
        web = make_app(self.front, settings.web, root=root, numbers=self._numbers)
        self._address = ground.listener.getsockname()[:2]
        self._serve_web = partial(web_server.serve, web, settings.web, listener=ground.listener)

    async def live(self, stop: asyncio.Event) -> None:
        """Run every task until `stop`, or until one of them ends the others."""
        async with asyncio.TaskGroup() as tasks:
            links = [tasks.create_task(link.run(), name=name) for name, link in self._links()]
            pipeline = tasks.create_task(self.pipeline.run(), name="pipeline")
            publisher = tasks.create_task(self.publisher.run(), name="publisher")
            serving = [
                tasks.create_task(self.front.run(), name="front"),
                tasks.create_task(self._tell_link(), name="link"),
                tasks.create_task(self._end_revoked(), name="revocations"),
                tasks.create_task(self._watch_drops(), name="drops"),
                tasks.create_task(self._serve_web(), name="web"),
            ]
            log.info("bridge.up", address=self._address)
            await stop.wait()
            log.info("bridge.stopping")
            self.pipeline.stop()
            await asyncio.wait([pipeline])
            self.publisher.stop()
            await asyncio.gather(self.front.shutdown(), asyncio.wait([publisher], timeout=DRAIN_SECONDS))
            for task in (*serving, publisher, *links):
                task.cancel()
        log.info("bridge.stopped", offset=self.pipeline.status().offset, published=self.publisher.published)

    def _links(self) -> Iterator[tuple[str, BrokerLink]]:
        yield "broker-intake", self._intake
        yield "broker-outlet", self._outlet
        yield "broker-desk", self._desk

    async def _tell_link(self) -> None:
        """Tell the front what it can't see: whether reports still reach the journal."""
        while True:
            status = self.pipeline.status()
            self.front.set_link(
                broker_connected=self._intake.status.connected, stream_live=status.ready, last_seen=status.committed_at
            )
            await asyncio.sleep(LINK_LOOK_SECONDS)

    def _verify(self, token: str, *, now: Millis) -> Claims:
        claims = self._tokens.verify(token, now=now)
        if self._revocations.current().name_token_of(claims):
            raise TokenRevoked
        return claims

    async def _end_revoked(self) -> None:
        """End what goes on with a token that was good when it came."""
        known = self._revocations.current()
        while True:
            await asyncio.sleep(REVOCATION_LOOK_SECONDS)
            if self._revocations.current() is not known:
                known = self._revocations.current()
                log.info("access.ended", connections=self.front.end_access(known))

    async def _watch_drops(self) -> None:
        """Tell when the broker drops messages: publishers are told success, so nobody else would ever know."""
        while True:
            for message in await self._outlet.receive(most=10):
                payload = message.payload[:DIGITS]
                dropped = int(payload) if payload.isdigit() else self._dropped
                if dropped > self._dropped:
                    log.error("broker.drops_messages", dropped=dropped, more=dropped - self._dropped)
                self._dropped = dropped

    def _numbers(self) -> Iterator[Number]:
        yield from pipeline_numbers(self.pipeline.status())
        yield Number("published_offset", self.publisher.published)
        yield Number("publications_refused", self.publisher.refused, counter=True)
        yield Number("reports_waiting", self._intake.waiting)
        yield Number("broker_dropped_messages", self._dropped)
        yield Number("clock_held", float(self._clock.held))
        for name, link in self._links():
            yield Number("broker_connected", float(link.status.connected), {"link": name})
