"""Changeovers: from the last piece of the old run to the Nth good piece of the new."""

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.event_data import Changeover
from bridge.domain.events import EventType, Priority, Standing
from bridge.domain.reports import APPLIED, Disposition, rejected, suppressed
from tests.domain.line.changeover_line import ChangeoverLine, at, time_of


def test_a_changeover_runs_from_the_last_old_piece_to_the_first_good_new_one() -> None:
    line = ChangeoverLine()
    line.count(10, good=1)
    line.count(20, reject=1)  # the last piece of the old run, good or not
    assert line.start("B", second=60, source="A") == APPLIED
    (started,) = line.events()
    line.restore()
    line.count(300, reject=2)
    line.count(320, good=1, reject=1)
    line.count(330, good=1, reject=1)
    (completed,) = line.events()
    assert (started.type, completed.type) == (EventType.CHANGEOVER_STARTED, EventType.CHANGEOVER_COMPLETED)
    assert (started.subject, started.place.equipment, started.priority) == ("L1.change.1", None, Priority.MEDIUM)
    assert (completed.subject, completed.revision, completed.standing) == ("L1.change.1", 2, Standing.CLOSED)
    assert started.data == Changeover(
        changeover_id="L1.change.1",
        from_product="A",
        to_product="B",
        started_at=time_of(20),
        signalled_at=time_of(60),
        target_seconds=900,
    )
    assert completed.data == Changeover(
        changeover_id="L1.change.1",
        from_product="A",
        to_product="B",
        started_at=time_of(20),
        signalled_at=time_of(60),
        completed_at=time_of(320),
        duration_seconds=300,
        target_seconds=900,
        startup_rejects=3,
        outcome="completed",
    )
    assert line.changeovers.running is None


def test_a_changeover_on_a_line_that_never_ran_starts_at_its_signal() -> None:
    line = ChangeoverLine()
    line.start("B", second=5)
    (data,) = line.new_changeovers()
    assert (data.started_at, data.from_product) == (time_of(5), None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=20), st.integers(1, 8))
def test_the_nth_good_piece_completes_it(counts: list[tuple[int, int]], good_pieces: int) -> None:
    line = ChangeoverLine(good_pieces=good_pieces)
    line.start("B", second=0)
    line.new_changeovers()
    good_so_far, rejects_so_far = 0, 0
    expected: list[tuple[str, int, str]] = []
    for second, (good, reject) in enumerate(counts, start=1):
        line.count(second, good=good, reject=reject)
        if not expected:
            good_so_far, rejects_so_far = good_so_far + good, rejects_so_far + reject
            if good_so_far >= good_pieces:
                expected = [(time_of(second), rejects_so_far, "completed")]
    assert [(data.completed_at, data.startup_rejects, data.outcome) for data in line.new_changeovers()] == expected


def test_the_same_product_is_no_changeover() -> None:
    line = ChangeoverLine()
    assert line.start("A", second=0, source="A") == suppressed("same_product")
    line.start("B", second=1)
    line.count(2, good=1)
    line.new_changeovers()
    assert line.start("B", second=3) == suppressed("same_product")
    line.changed("B", "B", second=4)
    line.changed("A", "B", second=5)  # the machine reports late what it was set up for
    assert line.new_changeovers() == []


def test_a_second_start_does_not_disturb_the_first() -> None:
    line = ChangeoverLine()
    line.start("B", second=0)
    line.new_changeovers()
    assert line.start("B", second=1) == suppressed("already_running")
    assert line.start("C", second=2) == rejected("changeover_running")
    assert line.new_changeovers() == []


@pytest.mark.parametrize(
    ("to", "answer"), [(None, APPLIED), ("B", APPLIED), ("C", rejected("other_changeover_running"))]
)
def test_a_command_completes_the_changeover_that_runs(to: str | None, answer: Disposition) -> None:
    line = ChangeoverLine()
    line.start("B", second=0)
    line.new_changeovers()
    assert line.complete(second=30, to=to) == answer
    assert [data.duration_seconds for data in line.new_changeovers()] == ([30] if answer == APPLIED else [])


def test_wrong_requests_state_what_is_wrong() -> None:
    line = ChangeoverLine()
    assert line.start(None, second=0) == rejected("incomplete")
    assert line.complete(second=0) == rejected("no_changeover_running")
    line.start("B", second=10)
    line.new_changeovers()
    assert line.complete(second=9) == suppressed("older_than_start")
    assert line.new_changeovers() == []


def test_a_product_change_starts_a_changeover_and_the_first_known_product_does_not() -> None:
    line = ChangeoverLine()
    line.changed(None, "A", second=0)
    assert line.new_changeovers() == []
    line.changed("A", "B", second=10)
    assert [(data.from_product, data.to_product) for data in line.new_changeovers()] == [("A", "B")]
    line.changed("A", "B", second=11)
    assert line.new_changeovers() == []


def test_a_product_change_the_report_announced_is_the_same_changeover() -> None:
    line = ChangeoverLine()
    line.start("B", second=0, source="A")
    line.changed("A", "B", second=60)
    assert [data.outcome for data in line.new_changeovers()] == [None]


def test_a_change_to_a_third_product_abandons_and_begins_where_that_ended() -> None:
    line = ChangeoverLine()
    line.count(0, good=1)
    line.start("B", second=10, source="A")
    line.changed("B", "C", second=50)
    first, abandoned, second = line.new_changeovers()
    assert (first.to_product, abandoned.outcome, abandoned.changeover_id) == ("B", "abandoned", first.changeover_id)
    assert (second.from_product, second.to_product, second.started_at) == ("A", "C", time_of(50))


def test_going_back_to_the_old_product_only_abandons() -> None:
    line = ChangeoverLine()
    line.start("B", second=10, source="A")
    line.changed("B", "A", second=50)
    assert [data.outcome for data in line.new_changeovers()] == [None, "abandoned"]
    assert line.start("A", second=60) == suppressed("same_product")


def test_abandoning_ends_what_runs_and_nothing_else() -> None:
    line = ChangeoverLine()
    line.changeovers.abandon(moment=at(0))
    assert line.new_changeovers() == []
    line.start("B", second=10, source="A")
    line.count(20, reject=4)
    line.changeovers.abandon(moment=at(70))
    started, ended = line.events()
    assert started.type is EventType.CHANGEOVER_STARTED
    assert (ended.type, ended.standing) == (EventType.CHANGEOVER_COMPLETED, Standing.CLOSED)
    assert isinstance(ended.data, Changeover)
    assert (ended.data.outcome, ended.data.startup_rejects, ended.data.duration_seconds) == ("abandoned", 4, 60)


def test_a_product_only_noted_is_what_the_next_changeover_comes_from() -> None:
    line = ChangeoverLine()
    line.changed(None, "A", second=0)
    assert line.new_changeovers() == []
    line.start("B", second=1)
    assert [data.from_product for data in line.new_changeovers()] == ["A"]


def test_the_running_changeover_is_reported() -> None:
    line = ChangeoverLine()
    line.count(1, good=1)
    line.start("B", second=9, source="A")
    line.restore()
    running = line.changeovers.running
    assert running is not None
    assert (running.changeover_id, running.from_product, running.to_product) == ("L1.change.1", "A", "B")
    assert (running.started_at, running.signalled_at) == (at(1).at, at(9).at)


Action = tuple[int, str, int]
ACTIONS: Final = st.lists(
    st.tuples(
        st.integers(0, 100),
        st.sampled_from(
            (
                "start A",
                "start B",
                "complete",
                "A",
                "B",
                "C",
                "run B",
                "setup",
                "setup over",
                "piece",
                "run piece",
                "off",
            )
        ),
        st.integers(0, 2),
    ),
    max_size=40,
)


def play(line: ChangeoverLine, actions: list[Action]) -> None:
    """Act one after another; the wait before each is in seconds."""
    second, product = 0, "A"
    for wait, action, rejects in actions:
        second += wait
        runs, _, name = action.rpartition(" ")
        match action:
            case "start A" | "start B":
                line.start(name, second=second)
            case "complete":
                line.complete(second=second)
            case "setup" | "setup over":
                line.set_up(second=second, in_setup=action == "setup")
            case "piece" | "run piece":
                line.count(second, good=1, reject=rejects, runs=runs == "run")
            case "off":
                line.changeovers.abandon(moment=at(second))
            case _:
                line.changed(product, name, second=second, runs=runs == "run")
                product = name


@given(actions=ACTIONS, good_pieces=st.integers(1, 3))
def test_changeovers_never_overlap(actions: list[Action], good_pieces: int) -> None:
    """Signals of any kind in any order: each begins at the end of the one before, or later."""
    line = ChangeoverLine(good_pieces=good_pieces)
    play(line, actions)
    ended: str | None = None
    for data in line.new_changeovers():
        assert data.started_at <= data.signalled_at
        if data.completed_at is None:
            assert ended is None or ended <= data.started_at
        else:
            assert data.signalled_at <= data.completed_at
            ended = data.completed_at


def test_a_mode_that_lasts_after_its_changeover_is_no_second_signal() -> None:
    line = ChangeoverLine()
    line.set_up(second=0)
    line.changed("A", "B", second=5)
    line.count(20, good=1, runs=False)
    line.set_up(second=25)
    line.new_changeovers()
    line.changed("B", "C", second=30, runs=True)  # while it runs: signals nothing
    assert line.new_changeovers() == []
