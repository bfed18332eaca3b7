"""One base for time and quantity: pieces of unknown time are in no ratio, as that time is in none."""

import pytest

from bridge.domain import event_data
from bridge.domain.events import EventType
from bridge.domain.line.output.oee_state import TimeStretch
from bridge.domain.line.output.oee_window import TimeClass
from bridge.domain.line.output.piece_shares import distribute_pieces
from bridge.domain.reports import BirthReport, CountsReport, DeathReport, StateReport
from tests.domain.line.absence.test_absence import absent
from tests.support.packing_line import T0, PackingLine

RUNNING = StateReport(state="running", speed=90.0)
MINUTE = 60
IDEAL = 2.0


def counts(line: PackingLine, at: float, total: float) -> None:
    line.report("bagger", CountsReport(total=round(total), good=round(total)), at=at)


def closed(line: PackingLine, window: str = "hour") -> list[event_data.Oee]:
    """Return the closed windows as last reported, oldest first."""
    by_start = {oee.window_start: oee for oee in line.oee(window) if oee.closed}
    return [by_start[start] for start in sorted(by_start)]


def ran_at_ideal_speed(line: PackingLine, since: float, until: float) -> None:
    """The line runs at ideal speed and reports all the time."""
    at = since
    while at <= until:
        counts(line, at, at / IDEAL)
        at += 10


@pytest.mark.parametrize("way", ["absence", "death"])
@pytest.mark.parametrize("lost", [(30 * MINUTE, 100 * MINUTE), (59 * MINUTE, 61 * MINUTE), (605, 3_000)])
def test_pieces_of_unknown_time_improve_no_hour(way: str, lost: tuple[int, int]) -> None:
    """The kind: the line ran at ideal speed all the time, and was not seen for a while."""
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    ran_at_ideal_speed(line, 0, lost[0])
    if way == "absence":
        absent(line, *lost)
    else:
        line.report("bagger", DeathReport(), at=lost[0])
        line.report("bagger", BirthReport(), at=lost[1])
    line.report("bagger", RUNNING, at=lost[1])
    ran_at_ideal_speed(line, lost[1], 4 * 60 * MINUTE)
    hours, shift = closed(line), closed(line, "shift")[-1]
    assert len(hours) == 4
    for hour in (*hours, shift):
        assert hour.performance == pytest.approx(1.0, abs=0.01)
        assert hour.oee == pytest.approx(1.0, abs=0.01)
        assert "estimated" in hour.flags or not hour.unknown_seconds
    unknown = lost[1] - lost[0]
    assert sum(hour.unknown_seconds for hour in hours) == unknown
    assert sum(hour.unknown_count for hour in hours) == pytest.approx(unknown / IDEAL, abs=6)
    made = sum(hour.total_count + hour.unknown_count for hour in hours)
    assert made == pytest.approx(4 * 60 * MINUTE / IDEAL, abs=6), "no piece is lost, and none doubled"


def test_production_counts_all_pieces_in_the_hours_they_were_made_in_and_states_that_it_estimates() -> None:
    line = PackingLine()
    line.report("bagger", RUNNING, at=0)
    counts(line, 0, 0)
    absent(line, 600, 6_000)
    line.report("bagger", RUNNING, at=6_000)
    counts(line, 6_000, 3_000)
    line.wait(6_002)
    last = line.production()[-1]
    assert last.total_count == 3_000
    assert [hour.actual for hour in last.hourly][-2:] == [1_800, 1_200]
    assert last.rate_per_minute < 100, "pieces of the absence are none of the last minute"
    assert line.of(EventType.PRODUCTION_UPDATE)[-1].quality.estimated


@pytest.mark.parametrize("total", [0, 1, 7, 100, 997])
@pytest.mark.parametrize("good", [0.0, 0.5, 0.97, 1.0])
def test_shares_add_up_and_no_share_has_more_good_pieces_than_pieces(total: int, good: float) -> None:
    made_good = round(total * good)
    unknown = [
        TimeStretch(T0 + 300, T0 + 701, TimeClass.UNKNOWN, None),
        TimeStretch(T0 + 900, T0 + 2_000, TimeClass.UNKNOWN, None),
    ]
    shares = distribute_pieces(
        total, made_good, start=T0, end=T0 + 1_000, unknown=unknown, bounds=[T0 - 5, T0 + 333, T0 + 999]
    )
    assert sum(share.total for share in shares) == total
    assert sum(share.good for share in shares) == made_good
    assert all(0 <= share.good <= share.total for share in shares)
    assert sum(share.end - share.start for share in shares if share.unknown) == 501
