"""Pieces held, released and refused, as events declare them; and counters that contradict each other."""

import msgspec
import pytest

from bridge.domain.line.line import Line
from bridge.domain.reports import BirthReport, CountsReport, DeathReport
from tests.domain.line.counters.counted_line import RUNNING, doubts, feed, line_of, qualities
from tests.support.packing_line import T0

# -- held, released, refused ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("equipment_id", [None, "bagger"])
def test_held_pieces_are_reported_though_nothing_counted(equipment_id: str | None) -> None:
    line = line_of()
    feed(line, "bagger", (0, 0), (50_000, 1))
    line.wait(3)
    assert doubts(line, equipment_id)[-1] == (50_000, None, None)
    assert line.production(equipment_id)[-1].total_count == 0


@pytest.mark.parametrize("equipment_id", [None, "bagger"])
def test_released_pieces_are_reported_once_and_estimated(equipment_id: str | None) -> None:
    line = line_of()
    feed(line, "bagger", (0, 0), (50_000, 1), (50_001, 3), (50_002, 5))
    line.wait(7)
    assert doubts(line, equipment_id)[-2:] == [(None, 50_000, None), (None, None, None)]
    assert line.production(equipment_id)[-1].total_count == 50_002
    assert qualities(line, equipment_id)[-1].estimated


def test_refused_pieces_are_reported_once() -> None:
    line = line_of()
    line.report("bagger", RUNNING, at=0)
    feed(line, "bagger", (100, 0), (50_100, 1), (101, 3), (102, 5))
    line.wait(7)
    assert doubts(line)[-2:] == [(None, None, 50_000), (None, None, None)]
    assert line.production()[-1].total_count == 2
    assert not qualities(line)[-1].estimated


def test_refused_pieces_are_reported_though_as_many_are_held_again() -> None:
    line = line_of()
    for at, total, good in ((0, 0, 0), (1, 50_000, 0), (3, 0, 50_000)):
        line.report("bagger", CountsReport(total=total, good=good), at=at)
    line.wait(5)
    assert doubts(line, "bagger")[-2:] == [(50_000, None, None), (50_000, None, 50_000)]


def test_held_pieces_stay_reported_until_they_are_decided() -> None:
    line = line_of()
    feed(line, "bagger", (0, 0), (50_000, 1))
    line.report("bagger", CountsReport(good=5), at=2)
    line.report("bagger", CountsReport(good=6), at=4)
    line.wait(6)
    assert {doubt[0] for doubt in doubts(line, "bagger")} == {50_000}


def test_pieces_that_two_counters_show_are_held_once() -> None:
    line = line_of()
    line.report("bagger", CountsReport(total=0, good=0, reject=0), at=0)
    line.report("bagger", CountsReport(total=50_000, good=40_000, reject=10_000), at=1)
    line.wait(3)
    assert doubts(line)[-1] == (50_000, None, None)


def test_the_line_shows_only_what_its_own_counters_hold() -> None:
    line = line_of(pieces_per_count=12)
    feed(line, "feeder", (0, 0), (70_000, 1))
    feed(line, "bagger", (0, 2), (50_000, 3))
    line.wait(5)
    assert doubts(line, "feeder")[-1] == (70_000, None, None)
    assert doubts(line)[-1] == (600_000, None, None)


def test_a_line_adds_up_what_its_machines_hold() -> None:
    line = line_of(total_from=("feeder", "bagger"))
    feed(line, "feeder", (0, 0), (70_000, 2))
    feed(line, "bagger", (0, 1), (50_000, 3))
    line.wait(5)
    assert doubts(line)[-1] == (120_000, None, None)
    feed(line, "feeder", (1, 6))
    line.wait(8)
    assert doubts(line)[-1] == (50_000, None, 70_000)


def test_a_lost_count_is_estimated_though_no_piece_was_added() -> None:
    """Three unrelated samples: the register's value is known afterwards, the number of pieces is not."""
    line = line_of()
    feed(line, "bagger", (1_000, 0), (50_000, 1), (9, 2), (700_000, 3))
    line.wait(12)
    assert qualities(line)[-1].estimated
    assert "estimated" in line.oee("shift")[-1].flags


# -- the device's life ----------------------------------------------------------------------------------------------


def test_a_power_cut_is_no_wrap() -> None:
    """A 16-bit counter at 1000, twelve minutes without power, then 0, 1, 2."""
    line = line_of(bagger={"counters": {"modulus": 65_536}})
    line.report("bagger", BirthReport(boot_id=1), at=0)
    feed(line, "bagger", (1_000, 1), boot=1)
    line.report("bagger", DeathReport(boot_id=1), at=2)
    line.report("bagger", BirthReport(boot_id=2), at=722)
    feed(line, "bagger", (0, 723), (1, 733), (2, 743), boot=2)
    line.wait(745)
    assert line.production()[-1].total_count == 2
    assert qualities(line)[-1].estimated


@pytest.mark.parametrize("silent", [True, False])
def test_a_device_that_was_offline_may_have_been_reset(*, silent: bool) -> None:
    """Without boot ids a death, a birth or a silence is all there is to know it by."""
    line = line_of(bagger={"counters": {"modulus": 65_536}, "heartbeat_seconds": 30.0})
    feed(line, "bagger", (65_530, 0))
    if not silent:
        line.report("bagger", BirthReport(), at=10)
    feed(line, "bagger", (4, 40 if silent else 11), (5, 50), (6, 60))
    line.wait(62)
    assert line.production()[-1].total_count == 6
    assert qualities(line)[-1].estimated


def test_a_device_clock_gives_a_slow_burst_its_time() -> None:
    """A gateway sends a buffer of a minute, a report each two seconds: by time of receipt they would be too fast."""
    line = line_of(bagger={"clock": "device", "counters": {"max_rate_per_minute": 300.0}})
    line.report("bagger", RUNNING, at=0)
    for number in range(7):
        at = 0 if number == 0 else 60 + number * 2
        line.report("bagger", CountsReport(total=number * 50, ts=T0 + number * 10_000), at=at)
    line.wait(80)
    assert line.production()[-1].total_count == 300
    assert not qualities(line)[-1].estimated


def test_a_report_may_state_its_own_modulus() -> None:
    line = line_of()
    for number, total in enumerate((65_530, 4)):
        line.report("bagger", CountsReport(total=total, modulus=65_536), at=number)
    line.wait(3)
    assert line.production()[-1].total_count == 10


def test_an_uncertain_report_makes_its_pieces_estimated() -> None:
    line = line_of()
    line.report("bagger", RUNNING, at=0)
    feed(line, "bagger", (0, 0), (5, 1))
    line.report("bagger", CountsReport(total=5, source_quality="uncertain"), at=3)
    line.wait(5)
    assert not qualities(line)[-1].estimated, "it added none"
    line.report("bagger", CountsReport(total=6, source_quality="uncertain"), at=6)
    line.wait(8)
    assert qualities(line)[-1].estimated


def test_an_outage_of_ten_minutes_loses_nothing() -> None:
    """120/min, a report each 10 s; the broker queues them, and all arrive within a second."""
    line = line_of(bagger={"counters": {"max_rate_per_minute": 120.0}})
    line.report("bagger", RUNNING, at=0)
    for number in range(151):
        at = number * 10 if number <= 30 or number > 90 else 900 + (number - 30) / 1000
        feed(line, "bagger", (number * 20, at))
    line.wait(1_510)
    assert line.production()[-1].total_count == 3_000
    assert not qualities(line)[-1].estimated


# -- how they are counted -------------------------------------------------------------------------------------------


def test_a_line_knows_the_greatest_rate_that_does_not_fit() -> None:
    line = line_of()
    feed(line, "bagger", *((number * 3_333, number * 10) for number in range(6)))
    fits = line.core.counter_fits()
    assert set(fits) == {"bagger"}
    assert fits["bagger"].max_rate_is_too_low
    assert (round(fits["bagger"].proven_rate), fits["bagger"].max_rate) == (19_998, 6_000)
    assert (fits["bagger"].held, fits["bagger"].released, fits["bagger"].refused) == (0, 3_333, 0)
    line.wait(52)
    assert line.production()[-1].total_count == 16_665


def test_held_pieces_survive_a_restart() -> None:
    line = line_of()
    feed(line, "bagger", (0, 0), (50_000, 1), (2, 2), (60_000, 3))
    again = Line.restore(line.plant_file, line.plant_file.lines[0], line.core.checkpoint())
    assert again.counter_fits() == line.core.counter_fits()
    assert again.counter_fits()["bagger"][:3] == (59_998, 0, 50_000)


def test_an_older_checkpoint_is_read() -> None:
    """A register was a value, a time and perhaps a held value."""
    line = line_of()
    feed(line, "bagger", (7, 0))
    state = msgspec.msgpack.decode(line.core.checkpoint())
    assert isinstance(state, dict)
    register = state["equipment"]["bagger"]["registers"]["total"]
    state["equipment"]["bagger"]["registers"]["total"] = {
        "value": register["value"],
        "at": register["at"],
        "held": 9_000,
        "held_at": register["at"],
    }
    line.core = Line.restore(line.plant_file, line.plant_file.lines[0], msgspec.msgpack.encode(state))
    feed(line, "bagger", (9, 2))
    line.wait(4)
    assert line.production()[-1].total_count == 2


def test_no_counter_makes_a_checkpoint_impossible() -> None:
    """The largest numbers there are, again and again: every sum stays one that a checkpoint holds."""
    line = line_of()
    for number in range(40):
        feed(line, "bagger", (2**64 - 1, number * 3), (-(2**63), number * 3 + 1), (0, number * 3 + 2))
        feed(line, "packer", (2**64 - 1 - number, number * 3 + 2))
    line.wait(200)
    assert Line.restore(line.plant_file, line.plant_file.lines[0], line.core.checkpoint()) is not None
