"""Every path on which events are read decides what is for whom in one of a few places; a new path fails here.

A path begins where the journal or the feed is read, and ends where the body of an event becomes output.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent / "bridge"
PACKAGES: Final = ("front", "protocol", "http", "contract", "wiring/front_side.py")  # of a process with dashboards
SOURCES: Final = (
    "ports/journal.py", "front/current_events.py", "front/journal_reads.py", "protocol/event_feed.py",
)  # fmt: skip
EVENTS: Final = frozenset({"CommittedEvent", "EventPage", "Snapshot", "CurrentEvents", "JournalEntry", "ReadResult"})
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
}
"""Function that reads events -> who decides what of them a viewer gets."""

BODIES: Final = {
    "front/command_dispatcher.py:CommandDispatcher._request_for": ONE_EVENT,  # only the id of its call
    "front/journal_queries.py:_encode_events": QUERY,
    SNAPSHOT_CHUNK: f"{SNAPSHOT} {SNAPSHOT_CHUNK}",
    "protocol/delivery_automaton.py:DeliveryAutomaton._deliver_up_to": REPLAY,
    "protocol/cohort.py:Cohort.waiting_frames": LIVE,
}
"""Function in which the body of an event becomes output -> who has decided that the viewer gets it."""

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


def all_functions() -> dict[str, Function]:
    paths = [path for package in PACKAGES for path in (sorted((ROOT / package).rglob("*.py")) or [ROOT / package])]
    return {name: function for path in paths for name, function in functions(path)}


def calls(function: Function) -> set[str]:
    """Return the names of the methods that a function calls, or passes to a thread that does."""
    called = [
        (node.func, *(node.args if ast.unparse(node.func) == "asyncio.to_thread" else ()))
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    ]
    return {node.attr for nodes in called for node in nodes if isinstance(node, ast.Attribute)}


def returns_events(function: Function) -> bool:
    annotation = "" if function.returns is None else ast.unparse(function.returns)
    return any(name in EVENTS for name in annotation.replace("'", " ").replace("[", " ").replace("]", " ").split())


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


def test_who_decides_decides() -> None:
    known = all_functions()
    assert [name for name in DECIDERS if not calls(known[name]) & DECISIONS] == []
    named = {name for entry in (*READS.values(), *BODIES.values()) if entry != ITS_CALLERS for name in entry.split()}
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
