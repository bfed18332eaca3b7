"""Random subscriptions over every way to read events: each gives exactly what is requested, granted and addressed."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.domain.access.viewer import Viewer
from bridge.domain.event_data import Andon, Escalation, EventData, Job, Person
from bridge.domain.events import Event, EventType, Priority
from bridge.domain.place import Place
from bridge.domain.utc_time import rfc3339
from bridge.protocol.client_frames import InvalidFrame
from tests.front.journal_gate import let_the_front_run
from tests.front.memory_front import NOON, MemoryFront, data_of, memory_front
from tests.support.dashboard import is_event
from tests.support.event_universe import IDS, PRIORITIES, topics_of, topics_of_any
from tests.support.memory_dashboard import MemoryDashboard
from tests.support.random_subscriptions import USER, Case, Token, a_case
from tests.support.tokens import token

EVENTS: Final = 24
BODIES: Final = 4  # of one world
KINDS: Final = (EventType.ANDON_EVENT, EventType.ESCALATION_UPDATE, EventType.JOB_ASSIGNED)  # none is conflated
AUDIENCES: Final = (("maintenance",), ("quality",), ("maintenance", "quality"), ("team_leader",))


class SomeEvent:
    """An event at an offset, as the oracle knows it."""

    def __init__(self, offset: int, draw: random.Random) -> None:
        site, area, line, equipment, subject = (draw.choice(ids) for ids in IDS)
        self.offset = offset
        self.kind = draw.choice(KINDS)
        self.priority = draw.choice(PRIORITIES)
        self.place = Place.from_levels((site, area, line, equipment))
        self.subject = subject
        self.audience: tuple[str, ...] = ()
        if self.kind is EventType.ESCALATION_UPDATE:
            self.audience = draw.choice(AUDIENCES)
        elif self.kind is EventType.JOB_ASSIGNED:
            self.audience = (draw.choice((USER, "otto")),)

    @property
    def topic(self) -> str:
        category = self.kind.value.partition("_")[0]
        return "/".join((*self.place.levels(), category, self.kind.value, self.priority, self.subject))

    @property
    def key(self) -> tuple[Place, str, str]:
        return self.place, self.kind.value.partition("_")[0], self.subject

    def made(self) -> Event:
        return Event(
            type=self.kind,
            place=self.place,
            subject=self.subject,
            priority=Priority(self.priority),
            revision=1,
            timestamp=NOON,
            data=self._data(),
        )

    def _data(self) -> EventData:
        match self.kind:
            case EventType.ESCALATION_UPDATE:
                return Escalation(
                    escalation_id=self.subject, call_id="c", andon_type="quality", level=0, previous_level=0,
                    status="active", cause=None, recipients=list(self.audience),
                )  # fmt: skip
            case EventType.JOB_ASSIGNED:
                person = Person(self.audience[0])
                return Job(job_id=self.subject, product="p", status="assigned", target_quantity=1, assigned_to=person)
            case _:
                return Andon(
                    call_id=self.subject, andon_type="quality", priority="high", status="open", raised_by=None,
                    raised_at=rfc3339(NOON), escalation_level=0, repeat=0, auto_generated=False,
                )  # fmt: skip

    def is_in(self, topics: int) -> bool:
        return bool(topics & topics_of(self.topic))

    def is_selected(self, case: Case, claims: Token) -> bool:
        audience = case.audience(claims)
        is_addressed = audience is None or not audience.isdisjoint(self.audience)
        return self.is_in(case.requested & topics_of_any(claims.grants)) and is_addressed

    def is_assigned(self, claims: Token) -> bool:
        """Return whether it comes without a subscription."""
        is_mine = self.kind is EventType.JOB_ASSIGNED and USER in self.audience
        return is_mine and self.is_in(topics_of_any(claims.grants))


def current(events: Sequence[SomeEvent]) -> list[SomeEvent]:
    return sorted({event.key: event for event in events}.values(), key=lambda event: event.offset)


def offsets(events: Sequence[SomeEvent]) -> list[int]:
    return [event.offset for event in events]


class World:
    """A front, and the events of its journal."""

    def __init__(self, front: MemoryFront, draw: random.Random) -> None:
        self.front = front
        self.draw = draw
        self.events: list[SomeEvent] = []

    def commit(self, count: int) -> list[SomeEvent]:
        added = [SomeEvent(len(self.events) + number, self.draw) for number in range(1, count + 1)]
        self.events += added
        for event in added:
            self.front.commit(event.made())
        return added

    async def join(self, claims: Token) -> MemoryDashboard:
        return await self.front.join(**claims_of(claims))


def claims_of(claims: Token) -> dict[str, Any]:
    return {"user": USER, "roles": claims.roles, "grants": {"read": list(claims.grants)}}


def received(board: MemoryDashboard, seen: int = 0) -> list[int]:
    """Return the offsets of the events that came after these frames."""
    return [frame["offset"] for frame in board.frames[seen:] if is_event(frame)]


def types_after(board: MemoryDashboard, seen: int) -> set[str]:
    return {frame["type"] for frame in board.frames[seen:]}


async def settle(board: MemoryDashboard, expected: Sequence[int]) -> list[int]:
    """Wait for these events, and return all that have come when nothing more is on the way."""
    await board.until(lambda: set(expected) <= set(received(board)))
    await let_the_front_run()
    await board.ask("ping", "pong")
    return received(board)


async def check_live(world: World, case: Case) -> tuple[MemoryDashboard, bool]:
    """Check snapshot and live events; return the dashboard, and whether it has the subscription."""
    claims = case.tokens[0]
    board = await world.join(claims)
    await board.send("subscribe", **case.body)
    await board.until(lambda: bool({"error", "snapshot_end"} & set(board.types)))
    has_subscription = "error" not in board.types
    selected = [event for event in current(world.events) if event.is_selected(case, claims)]
    assert received(board) == (offsets(selected) if has_subscription else [])
    before = len(selected) if has_subscription else 0
    added = world.commit(3)
    due = [
        event for event in added if (has_subscription and event.is_selected(case, claims)) or event.is_assigned(claims)
    ]
    assert (await settle(board, offsets(due)))[before:] == offsets(due)
    return board, has_subscription


async def check_refresh(world: World, case: Case, board: MemoryDashboard) -> None:
    former, latter = ({e.offset for e in current(world.events) if e.is_selected(case, t)} for t in case.tokens)
    seen = len(board.frames)
    await board.ask("auth", "auth_ok", token=token(**claims_of(case.tokens[1])))
    await let_the_front_run()
    await board.ask("ping", "pong")
    if "widened" in types_after(board, seen):
        await board.until(lambda: "snapshot_end" in types_after(board, seen))
        assert received(board, seen) == sorted(latter)
    else:
        assert received(board, seen) == []
        assert latter <= former
    assert "revoked" in types_after(board, seen) or former <= latter


async def check_resume(world: World, case: Case, *, has_subscription: bool) -> None:
    claims = case.tokens[0]
    board = await world.join(claims)
    at = world.front.journal.position()
    since = {at.stream: {"epoch": at.epoch, "offset": 0}}
    await board.ask("resume", "resumed", subscriptions=[case.body], since=since)
    due = [
        event
        for event in world.events
        if (has_subscription and event.is_selected(case, claims)) or event.is_assigned(claims)
    ]
    assert await settle(board, offsets(due)) == offsets(due)


async def check_http(world: World, case: Case, *, has_subscription: bool) -> None:
    core, claims = world.front.core, case.tokens[0]
    viewer = world.front.authenticate(token(**claims_of(claims)))
    explained = await core.explain(viewer, case.body)
    assert explained["allowed"] is has_subscription
    text = str(case.body.get("mqtt_filter", "#"))
    topics = topics_of(text) & topics_of_any(claims.grants)
    if not topics:
        with pytest.raises(InvalidFrame):
            await core.read_history(viewer, text)
        with pytest.raises(InvalidFrame):
            await core.read_snapshot(viewer, text)
        return
    assert await history(world, viewer, text) == [event.offset for event in world.events if event.is_in(topics)]
    state = data_of(await core.read_snapshot(viewer, text))
    granted = [event for event in current(world.events) if event.is_in(topics)]
    assert [event["offset"] for event in state["events"]] == offsets(granted)


async def history(world: World, viewer: Viewer, text: str) -> list[int]:
    found: list[int] = []
    cursor: str | None = None
    while True:
        page = await world.front.core.read_history(viewer, text, cursor=cursor, limit=7)
        found += [event["offset"] for event in data_of(page)["events"]]
        cursor = page.cursor
        if cursor is None:
            return found


async def check_acknowledge(world: World, case: Case) -> None:
    """Check that nothing is learnt of an event that is not granted."""
    granted = topics_of_any(case.tokens[0].grants)
    board = await world.join(case.tokens[0])
    at = world.front.journal.position()
    asked = {f"a{event.offset}": event for event in world.draw.sample(world.events, 4)}
    for name, event in asked.items():
        await board.send("acknowledge", id=name, event_id=f"{at.stream}:{at.epoch}:{event.offset}")
    await board.until(lambda: board.types.count("error") == len(asked))
    for frame in board.frames:
        if frame["type"] == "error":
            is_hidden = frame["message"] == "no such event, or it is not granted"
            assert is_hidden != asked[frame["id"]].is_in(granted)


async def check_world(folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    async with memory_front(folder) as front:
        world = World(front, draw)
        world.commit(EVENTS)
        for _ in range(BODIES):
            case = a_case(draw)
            board, has_subscription = await check_live(world, case)
            await check_resume(world, case, has_subscription=has_subscription)
            if case.requested:
                await check_http(world, case, has_subscription=has_subscription)
            await check_acknowledge(world, case)
            if has_subscription:
                await check_refresh(world, case, board)


@pytest.mark.parametrize("seed", range(12))
async def test_every_path_gives_what_is_requested_granted_and_addressed(tmp_path: Path, seed: int) -> None:
    await check_world(tmp_path, seed)


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(1_000, 3_000))
async def test_every_path_gives_what_is_requested_granted_and_addressed_in_any_world(tmp_path: Path, seed: int) -> None:
    await check_world(tmp_path, seed)
