"""Every path on which events are read decides what is for whom in one of a few places; a new path fails here.

A path begins where the journal or the feed is read, and ends where the body of an event becomes output. Whatever else
is read of an event on the way is known too.
"""

import ast
import functools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from bridge.domain.records import CommittedEvent

ROOT: Final = Path(__file__).parent.parent / "bridge"
PACKAGES: Final = ("front", "protocol", "http", "contract", "wiring", "watch")
"""Where dashboards are, and what may be wired to them: each function that has events is in a table below."""

NONE: Final = "has none, as a test shows"
OTHERS: Final = {
    "domain": "makes events, and admits",
    "ports": "says what a journal returns",
    "journal": "keeps them",
    "pipeline": "commits them; may import nothing that serves dashboards",
    "publisher": "publishes them to the broker; may import nothing that serves dashboards",
    "cli": "for operators who may read the journal's file; serves dashboards through wiring only",
    **dict.fromkeys(("adapters", "demo", "ingest", "mqtt", "settings"), NONE),
}
"""Any other package -> why it may have events."""

SOURCES: Final = (
    "ports/journal.py", "front/current_events.py", "front/journal_reads.py", "protocol/event_feed.py",
)  # fmt: skip
EVENTS: Final = frozenset(
    {
        "CommittedEvent", "EventPage", "Snapshot", "CurrentEvents", "JournalEntry", "ReadResult", "HistoryPage",
        "CurrentState",
    }
)  # fmt: skip
DECISIONS: Final = frozenset({"admits", "selects", "may_read", "is_for", "matches"})

HISTORY: Final = "front/journal_queries.py:read_history"
SNAPSHOT_OVER_HTTP: Final = "front/journal_queries.py:read_current_state"
QUERY: Final = "front/journal_queries.py:_select"
SNAPSHOT: Final = "front/current_events.py:CurrentEvents.matching_offsets"
SNAPSHOT_CHUNK: Final = "protocol/request_queue.py:SnapshotProgress.bodies"
REPLAY: Final = "protocol/event_cursor.py:ReplayReader.next"
LIVE: Final = "protocol/fan_out.py:FanOut.route"
ALONE: Final = "protocol/event_cursor.py:EventCursor.selects_alone"
ONE_EVENT: Final = "front/journal_reads.py:FrontJournal.readable_event"
PAGE: Final = "protocol/event_feed.py:EventPage._matching_one"
DECIDERS: Final = frozenset({QUERY, SNAPSHOT, SNAPSHOT_CHUNK, REPLAY, LIVE, ALONE, ONE_EVENT, PAGE})
"""The functions that decide whether an event is for a viewer."""

ITS_CALLERS: Final = "its callers, which this table holds"
NO_EVENT: Final = "no event, but files and dates of the settings, or bytes of a client"
READS: Final = {
    "front/connection.py:DashboardConnection._read": f"{SNAPSHOT} {SNAPSHOT_CHUNK} {REPLAY}",
    "front/connection.py:DashboardConnection._read_journal": f"{SNAPSHOT} {SNAPSHOT_CHUNK} {REPLAY}",
    HISTORY: QUERY,
    SNAPSHOT_OVER_HTTP: QUERY,
    ONE_EVENT: ONE_EVENT,
    "front/journal_reads.py:FrontJournal.read_at_once": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal.read": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal.read_events": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal.current_events": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal.page_after": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal.events_after": ITS_CALLERS,
    "front/journal_reads.py:FrontJournal._read_current": ITS_CALLERS,
    "front/replica.py:Replica._read_journal": f"{LIVE} {ALONE}",
    "protocol/event_feed.py:EventPage.matching": f"{PAGE} {REPLAY}",
    "protocol/event_feed.py:EventFeed.page_after": ITS_CALLERS,
    "protocol/event_cursor.py:ReplayReader._matching": REPLAY,
    REPLAY: REPLAY,
    "wiring/access_files.py:AccessFiles._read": NO_EVENT,
    "wiring/bridge.py:_warn_of_dates": NO_EVENT,
    "wiring/checks.py:_web": NO_EVENT,
    "http/tls_connection.py:TlsConnection._read_part": NO_EVENT,
    "http/tls_connection.py:TlsConnection.output": NO_EVENT,
    "http/tls_transport.py:TlsTransport._process": NO_EVENT,
}
"""Function that reads events -> who decides what of them a viewer gets."""

BODIES: Final = {
    "front/command_dispatcher.py:CommandDispatcher._request_for": ONE_EVENT,  # only the id of its call
    "front/events_answer.py:answer_with": QUERY,
    SNAPSHOT_CHUNK: f"{SNAPSHOT} {SNAPSHOT_CHUNK}",
    "protocol/delivery_automaton.py:DeliveryAutomaton._deliver_up_to": REPLAY,
    "protocol/cohort.py:Cohort.waiting_frames": LIVE,
}
"""Function in which the body of an event becomes output -> who has decided that the viewer gets it."""

USES: Final[dict[str, dict[str, str]]] = {
    "decides": {
        "front/broadcaster.py:Broadcaster.deliver": "assignees",
        "front/broadcaster.py:Broadcaster._separate_assignees": "assignees",
        "front/journal_queries.py:_is_in_period": "timestamp",
        SNAPSHOT: "offset",
        ONE_EVENT: "id topic",
        PAGE: "assignees events",
        LIVE: "audience topic",
        "protocol/event_selectors.py:ActiveSubscription.selects": "offset",
        "protocol/event_selectors.py:AssignmentSubscription.selects": "assignees offset topic",
        "protocol/event_selectors.py:Interval.selects": "offset",
        "protocol/event_selectors.py:SelectorIndex.candidates": "topic",
        "protocol/subscription_table.py:SubscriptionTable.selects": "assignees",
        "protocol/subscription_table.py:SubscriptionTable.may_select": "assignees",
        "protocol/subscription_table.py:SubscriptionTable._may_read": "topic",
    },
    "has it decided about, by a function of DECIDERS": {
        "front/command_dispatcher.py:CommandDispatcher._request_for": "body id topic",
        "front/events_answer.py:answer_with": "body",
        "front/journal_queries.py:HistoryPage.answer": "events",
        "front/journal_queries.py:CurrentState.answer": "events offset",
        SNAPSHOT_OVER_HTTP: "events",
        HISTORY: "offset",
        "protocol/cohort.py:Cohort.add": "body is_lossless offset state_key topic",
        "protocol/cohort.py:Cohort.waiting_frames": "body",
        "protocol/delivery_automaton.py:DeliveryAutomaton._deliver_up_to": "body offset",
        "protocol/event_cursor.py:EventCursor.next_events": "events",
        "protocol/event_cursor.py:ReplayReader.take_page": "memory_bytes offset",
        REPLAY: "body events offset",
        "protocol/ledger.py:Ledger.count_sent": "topic type",
        "protocol/ledger.py:Ledger.count_conflated": "topic type",
        SNAPSHOT_CHUNK: "body",
    },
    "keeps events, or passes them on, and shows them to nobody": {
        "front/front.py:Front.on_committed": "events",
        "front/current_events.py:CurrentEvents.__init__": "events offset state_key",
        "front/current_events.py:CurrentEvents.advance": "offset standing state_key topic",
        "front/current_events.py:CurrentEvents._keep": "memory_bytes offset",
        "front/journal_reads.py:FrontJournal.current_events": "events",
        "front/replica.py:Replica._forward": "events offset",
        "front/replica.py:_is_continuous": "events id offset",
        "protocol/event_cursor.py:EventCursor.position_frames": "offset",  # of the feed
        "protocol/event_feed.py:EventPage.__init__": "events offset",
        "protocol/event_feed.py:EventPage.last": "events offset",
        "protocol/event_feed.py:EventPage.has_next_after": "events offset",
        "protocol/event_feed.py:EventPage.later": "events",
        "protocol/event_feed.py:EventCache.put": "events",
        "protocol/event_feed.py:EventCache.add": "events offset",
        "protocol/event_feed.py:EventCache._put": "events",
        "protocol/event_feed.py:EventCache._grow": "events",
        "protocol/event_feed.py:EventFeed.advance": "is_lossless offset state_key topic",
        "protocol/event_feed.py:EventFeed.record_current": "is_lossless offset state_key topic",
        "protocol/event_feed.py:EventFeed.is_superseded": "is_lossless offset state_key topic",
        "protocol/event_feed.py:_merge_distinct": "offset",
        "protocol/event_feed.py:_total_bytes": "memory_bytes",
        "wiring/canaries.py:Canaries.on_committed": "topic",  # of its own
    },
    "has none: a command that waits": {"front/command_dispatcher.py:CommandDispatcher._execute": "id topic"},
}
"""Why -> function that may have events -> what it reads of them, or of anything that names it alike."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """Yield every function of a module with its name, `package/module.py:Class.function`."""

    def within(node: ast.AST, names: tuple[str, ...]) -> Iterator[tuple[str, Function]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | Function):
                inner = (*names, child.name)
                if isinstance(child, Function):
                    yield f"{path.relative_to(ROOT)}:{'.'.join(inner)}", child
                yield from within(child, inner)
            else:
                yield from within(child, names)

    return within(ast.parse(path.read_text()), ())


def modules(packages: Iterable[str]) -> list[Path]:
    return [path for package in packages for path in sorted((ROOT / package).rglob("*.py"))]


@functools.cache
def all_functions() -> dict[str, Function]:
    return {name: function for path in modules(PACKAGES) for name, function in functions(path)}


def attributes_with_events() -> set[str]:
    """Return the names of all attributes of classes that hold events."""
    fields = [
        (node.target, node.annotation)
        for path in modules(PACKAGES)
        for parent in ast.walk(ast.parse(path.read_text()))
        for node in ast.iter_child_nodes(parent)
        if isinstance(node, ast.AnnAssign)
        and (isinstance(parent, ast.ClassDef) or isinstance(node.target, ast.Attribute))
    ]
    return {ast.unparse(target).rpartition(".")[2] for target, annotation in fields if names_events(annotation)}


def calls(function: Function) -> set[str]:
    """Return the names of the methods that a function calls, or passes to a thread that does."""
    called = [
        (node.func, *(node.args if ast.unparse(node.func) == "asyncio.to_thread" else ()))
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    ]
    return {node.attr for nodes in called for node in nodes if isinstance(node, ast.Attribute)}


def names_events(annotation: ast.expr | None) -> bool:
    return annotation is not None and not EVENTS.isdisjoint(re.findall(r"\w+", ast.unparse(annotation)))


def returns_events(function: Function) -> bool:
    return names_events(function.returns)


def source_names() -> set[str]:
    """Return the names of all functions that return events."""
    return {
        function.name
        for path in SOURCES
        for _, function in functions(ROOT / path)
        if returns_events(function) and f"{path}:FrontJournal.{function.name}" != ONE_EVENT
    }


def makes_output_of_a_body(function: Function) -> bool:
    measured = {
        id(argument)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len"
        for argument in node.args
    }
    return any(
        isinstance(node, ast.Attribute) and node.attr == "body" and id(node) not in measured
        for node in ast.walk(function)
    )


def test_every_function_that_reads_events_states_who_decides_about_them() -> None:
    names = source_names()
    assert len(names) > 10
    reading = {name for name, function in all_functions().items() if calls(function) & names}
    assert reading == READS.keys(), "a new path: admit its events, and add it to READS"


def test_every_body_that_becomes_output_was_decided_about() -> None:
    writing = {name for name, function in all_functions().items() if makes_output_of_a_body(function)}
    assert writing == BODIES.keys(), "a new path: admit its events, and add it to BODIES"


def test_every_use_of_an_event_is_known() -> None:
    known, holding = all_functions(), attributes_with_events()
    assert {"events", "_current", "_lossless"} <= holding
    returning = source_names() | {function.name for function in known.values() if returns_events(function)}
    of_an_event = {name for name in dir(CommittedEvent) if not name.startswith("_")} | {"events"}
    uses = {}
    for name, function in known.items():
        read = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
        taken = [node.annotation for node in ast.walk(function.args) if isinstance(node, ast.arg)]
        has_events = bool(calls(function) & returning or read & holding) or any(map(names_events, taken))
        if has_events and read & of_an_event:
            uses[name] = " ".join(sorted(read & of_an_event))
    assert uses == {name: read for functions in USES.values() for name, read in functions.items()}, "admit, and add it"


def test_every_package_is_looked_at_or_said_to_need_no_look() -> None:
    packages = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("*/**/*.py")}
    assert packages == {*PACKAGES, *OTHERS}
    without = modules(package for package, reason in OTHERS.items() if reason == NONE)
    names = EVENTS | (source_names() - {"event", "read", "after", "snapshot", "later", "matching"})
    assert [path for path in without if names & set(re.findall(r"\w+", path.read_text()))] == []


def test_who_decides_decides() -> None:
    known = all_functions()
    assert [name for name in DECIDERS if not calls(known[name]) & DECISIONS] == []
    entries = {*READS.values(), *BODIES.values()} - {ITS_CALLERS, NO_EVENT}
    named = {name for entry in entries for name in entry.split()}
    assert named == DECIDERS
    passing = {name.rpartition(".")[2] for name, entry in READS.items() if entry == ITS_CALLERS}
    assert passing <= source_names()


def test_what_is_admitted_is_made_in_one_place() -> None:
    makers = {
        (node.func.id, str(path.relative_to(ROOT)))
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MADE_IN
    }
    assert makers == {(name, path) for name, path in MADE_IN.items()}


MADE_IN: Final = {
    "Subscription": "domain/access/subscriptions.py",
    "Viewer": "domain/access/viewer.py",
    "Allowed": "domain/access/grants.py",
    "AdmittedCommand": "domain/access/command_admission.py",
}
"""Type of an admission -> the only module that makes one."""
