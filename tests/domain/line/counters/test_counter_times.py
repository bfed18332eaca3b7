"""The time in which pieces can have been made: outages, bursts, device clocks, and rates that do not fit it."""

import pytest

from tests.domain.line.counters.counter_reader import WORD, reader


def test_a_burst_after_an_outage_counts_whole() -> None:
    """60 s offline at the greatest rate of 300/min; a report each 10 s was buffered, and all arrive within 10 ms."""
    counter = reader(rate=300.0)
    counter.read(0, 0)
    for number in range(1, 7):
        counter.read(number * 50, 60 + number / 1000)
    assert (counter.total, counter.estimated) == (300, False)


def test_a_slow_drain_of_the_queue_counts_whole() -> None:
    """Pieces made while the queue drains count too."""
    counter = reader(rate=300.0)
    counter.read(0, 0)
    for number in range(1, 63):
        counter.read(number * 50, 610 if number < 61 else number * 10)
    assert (counter.total, counter.estimated) == (3_100, False)


def test_a_burst_of_a_register_that_was_reset_in_the_outage_counts_whole() -> None:
    """The pieces that confirm the reset were made before their report arrived, and so were the following ones."""
    counter = reader(rate=300.0)
    counter.read(1_000, 0)
    counter.interrupt()
    for number in range(1, 4):
        counter.read(200 * number, 600 + number / 100)
    assert counter.total == 600


def test_the_time_that_an_outage_left_passes() -> None:
    """A minute after an outage of ten, a jump of nine minutes' pieces is not believed any more."""
    counter = reader(rate=300.0)
    counter.read_all((0, 0), (10, 600), (20, 610), (30, 620), (40, 630), (50, 640), (60, 650), (70, 660))
    assert counter.read(2_700, 661).kind == "held"


def test_a_device_clock_dates_the_production_of_pieces() -> None:
    counter = reader(rate=300.0)
    counter.read(0, 100, dated=100)
    for number in range(1, 7):
        result = counter.read(number * 50, 160 + number / 1000, dated=100 + number * 10)
        assert (result.since, result.until) == (90_000 + number * 10_000, 100_000 + number * 10_000)
    assert (counter.total, counter.estimated) == (300, False)


@pytest.mark.parametrize(
    ("modulus", "start", "cut"),
    [
        (None, 1_000, True),
        (None, 1_000, False),
        (65_536, 1_000, True),
        (65_536, 65_500, False),
        (65_536, 65_380, False),
    ],
)
def test_a_backlog_behind_the_latest_reading_counts_neither_down_nor_twice(
    modulus: int | None, start: int, *, cut: bool
) -> None:
    """A trusted clock dates it before the latest reading, which had all of it; it goes across a wrap as well."""
    counter = reader(modulus, rate=600.0)

    def value(count: int) -> int:
        return count if modulus is None else count % modulus

    counter.read(value(start), 100, dated=100)
    if cut:
        counter.interrupt()
    counter.read(value(start + 117), 200, dated=200)
    for number in range(1, 10):
        result = counter.read(value(start + 12 * number), 200 + number / 100, dated=100 + 10 * number)
        assert (result.delta, result.kind) == (0, "history")
    assert counter.read(value(start + 130), 210, dated=210).delta == 13
    assert counter.total == 130
    assert not counter.estimated or cut


def test_a_device_clock_that_was_set_back_takes_no_time_away() -> None:
    counter = reader(rate=300.0)
    counter.read(0, 100, dated=100)
    assert counter.read(50, 110, dated=95).delta == 50


def test_the_interval_of_a_burst_reaches_back_into_the_outage() -> None:
    """The first report's pieces were made since the last report before; the next ones may have been, too."""
    counter = reader(rate=300.0)
    counter.read(0, 0)
    first = counter.read(50, 60)
    second = counter.read(100, 60.001)
    assert (first.since, first.until) == (0, 60_000)
    assert (second.since, second.until) == (10_000, 60_001)
    live = counter.read(105, 70)
    assert (live.since, live.until) == (60_001, 70_000)


def test_the_interval_of_a_suspect_reaches_back_to_the_believed_sample() -> None:
    released = reader().read_all((1_000, 0), (5_000, 10), (5_003, 20))
    assert (released.since, released.until) == (0, 20_000)
    reset = reader().read_all((1_000, 0), (0, 10), (0, 20), (3, 30))
    assert (reset.since, reset.until) == (20_000, 30_000)


# -- a greatest rate that does not fit ------------------------------------------------------------------------------


@pytest.mark.parametrize("modulus", [None, WORD, 2**32])
def test_a_machine_faster_than_the_greatest_rate_is_counted_and_known(modulus: int | None) -> None:
    """20,000/min, a report each 10 s, with the default of 6,000/min."""
    counter = reader(modulus, rate=6_000.0)
    readings = [number * 3_333 for number in range(40)]
    for second, value in enumerate(readings):
        counter.read(value if modulus is None else value % modulus, second * 10)
        assert counter.total >= value - 3_333
    assert counter.total == readings[-1]
    assert counter.estimated
    assert counter.register is not None
    assert counter.register.refuted_limit == pytest.approx(19_998)


def test_the_greatest_rate_holds_again_once_the_machine_keeps_it() -> None:
    counter = reader()
    counter.read_all((0, 0), (1_000, 10), (2_000, 20), (3_000, 30), (3_050, 40))
    assert counter.total == 3_050
    assert counter.read(5_000, 50).kind == "held"


def test_a_single_jump_proves_no_rate() -> None:
    counter = reader()
    result = counter.read_all((1_000, 0), (5_000, 10), (5_010, 20))
    assert result.register.refuted_limit == 0


def test_a_burst_proves_no_rate() -> None:
    counter = reader()
    result = counter.read_all((0, 0), (1_000, 0.01), (2_000, 0.02), (3_000, 0.03), (4_000, 0.04))
    assert result.register.refuted_limit == 0


def test_a_machine_that_gets_faster_still_is_known_by_its_fastest_rate() -> None:
    result = reader(rate=6_000.0).read_all((0, 0), (3_333, 10), (6_666, 20), (11_666, 30), (16_666, 40))
    assert result.register.refuted_limit == pytest.approx(30_000)


def test_pieces_beyond_the_greatest_rate_are_estimated_each_time() -> None:
    counter = reader(rate=6_000.0)
    counter.read_all((0, 0), (3_333, 10))
    assert all(counter.read(number * 3_333, number * 10).estimated for number in range(2, 6))


def test_the_fastest_rate_is_measured_while_pieces_are_made() -> None:
    """Neither an idle time nor a burst of unknown duration shows how fast a machine runs."""
    idle = reader().read_all((0, 0), (0, 9), (10, 10), (110, 20)).register
    assert (idle.fastest, idle.spells) == (600, 1)
    burst = reader().read_all((0, 0), (0, 600), *((number * 50, 600 + number / 1000) for number in range(1, 100)))
    assert (burst.register.fastest, burst.register.spells) == (0, 0)
