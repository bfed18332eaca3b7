"""Journal queries over HTTP: history in pages, and the current state, authorized like a subscription."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bridge.domain.access.subscriptions import Subscription
from bridge.domain.access.viewer import Viewer
from bridge.domain.records import CommittedEvent, Position
from bridge.domain.steps import RunSteps, Steps
from bridge.domain.utc_time import Millis
from bridge.front.events_answer import EventsAnswer, answer_with
from bridge.front.journal_reads import FrontJournal
from bridge.protocol.client_frames import InvalidFrame
from bridge.protocol.error_codes import ErrorCode
from bridge.protocol.session import admit_body_in_steps

MAX_PAGE: Final = 1_000  # events in one answer
DEFAULT_PAGE: Final = 100
SCAN_EVENTS: Final = 20_000  # examined for one answer: a filter that matches little must not read the whole journal
READ_EVENTS: Final = 256  # at once: a thread that decodes them keeps the event loop waiting for some ms
STEP_EVENTS: Final = 100  # matched at once: each takes some 2 to 4 us
MAX_CURSOR: Final = 256  # characters; an epoch and an offset


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Events in order, and the `cursor` of the next page, None when there are no more for now."""

    events: tuple[CommittedEvent, ...]
    cursor: str | None
    effective: tuple[str, ...]

    def answer(self) -> Steps[EventsAnswer]:
        return answer_with(self.events, {"effective": self.effective, "cursor": self.cursor})


@dataclass(frozen=True, slots=True)
class CurrentState:
    """The current events at a position."""

    events: tuple[CommittedEvent, ...]
    position: Position
    effective: tuple[str, ...]

    def answer(self) -> Steps[EventsAnswer]:
        at = {self.position.stream: {"epoch": self.position.epoch, "offset": self.position.offset}}
        return answer_with(self.events, {"effective": self.effective, "positions": at})


async def read_current_state(
    journal: FrontJournal, viewer: Viewer, filter_text: str | None, *, run: RunSteps
) -> CurrentState:
    """Return the current events under a filter; raise InvalidFrame."""
    subscription = await run(_admit(viewer, filter_text))
    snapshot = (await journal.current_events()).snapshot()
    events = await run(_select(subscription, snapshot.events))
    return CurrentState(tuple(events), snapshot.position, _effective_texts(subscription))


async def read_history(
    journal: FrontJournal,
    viewer: Viewer,
    filter_text: str | None,
    *,
    since: Millis | None,
    until: Millis | None,
    cursor: str | None,
    limit: int,
    run: RunSteps,
) -> HistoryPage:
    """Return events under a filter with `since` <= timestamp < `until`, oldest first; raise InvalidFrame.

    A page may be empty and still have a cursor: nothing matched within `SCAN_EVENTS`.
    """
    subscription = await run(_admit(viewer, filter_text))
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, f"limit must be between 1 and {MAX_PAGE}")
    epoch = journal.position.epoch
    after = 0 if cursor is None else _parse_cursor(cursor, epoch)
    matches: list[CommittedEvent] = []
    examined = 0
    while examined < SCAN_EVENTS:
        async with journal.history_slots:
            events = await journal.events_after(after, limit=READ_EVENTS)
        if after and not (events and events[0].offset == after + 1) and after + 1 < await journal.oldest_offset():
            raise InvalidFrame(
                ErrorCode.INVALID_MESSAGE, "the events after the cursor were deleted: start without a cursor"
            )
        in_period = [event for event in events if _is_in_period(event, since, until)]
        matches += await run(_select(subscription, in_period, limit=limit - len(matches)))
        if len(matches) == limit:
            return HistoryPage(tuple(matches), f"{epoch}:{matches[-1].offset}", _effective_texts(subscription))
        after = events[-1].offset if events else after
        examined += len(events)
        if len(events) < READ_EVENTS:
            return HistoryPage(tuple(matches), None, _effective_texts(subscription))
    return HistoryPage(tuple(matches), f"{epoch}:{after}", _effective_texts(subscription))


def _select(
    subscription: Subscription, events: Iterable[CommittedEvent], *, limit: int | None = None
) -> Steps[list[CommittedEvent]]:
    """Return the first events that the subscription admits, up to `limit`."""
    selected: list[CommittedEvent] = []
    for number, event in enumerate(events, start=1):
        if subscription.admits(event):
            selected.append(event)
            if len(selected) == limit:
                break
        if number % STEP_EVENTS == 0:
            yield
    return selected


def _is_in_period(event: CommittedEvent, since: Millis | None, until: Millis | None) -> bool:
    return (since is None or event.timestamp >= since) and (until is None or event.timestamp < until)


def _parse_cursor(cursor: str, epoch: str) -> int:
    cursor_epoch, _, digits = cursor[:MAX_CURSOR].rpartition(":")
    if cursor_epoch != epoch or not (digits.isascii() and digits.isdigit() and len(digits) <= 18):
        raise InvalidFrame(ErrorCode.INVALID_MESSAGE, "the cursor is of another journal: start without a cursor")
    return int(digits)


def _admit(viewer: Viewer, filter_text: str | None) -> Steps[Subscription]:
    return admit_body_in_steps({"mqtt_filter": filter_text or "#"}, viewer)


def _effective_texts(subscription: Subscription) -> tuple[str, ...]:
    return tuple(str(topic_filter) for topic_filter in subscription.effective)
