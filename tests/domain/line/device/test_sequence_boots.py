"""Boots of a device: deaths, restarts and births that arrive late."""

import pytest
from msgspec.structs import replace as replace_body

from bridge.domain.events import EventType
from bridge.domain.reports import (
    APPLIED,
    BirthReport,
    DeathReport,
    suppressed,
)
from tests.domain.line.device.numbered_reports import press, state, status
from tests.domain.line.device.test_sequence import NEW, OLD
from tests.support.packing_line import T0, PackingLine


@pytest.mark.parametrize("boot", [OLD, NEW - 1])
def test_a_late_death_of_an_older_boot_is_ignored(boot: int) -> None:
    """Also of a boot that was never seen, or is no longer remembered."""
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id=NEW, seq=0), at=0)
    line.report("bagger", state(1, boot=NEW), at=1)
    assert line.report("bagger", DeathReport(boot_id=boot, seq=0), at=2).disposition == suppressed("out_of_order")
    assert status(line) == "running"
    for index in range(5):
        assert line.report("bagger", state(2 + index, "fault", NEW), at=3 + index).disposition == APPLIED
    assert status(line) == "fault"


def test_a_late_death_of_an_unknown_boot_without_an_order_is_ignored() -> None:
    line = PackingLine()
    line.report("bagger", state(1, boot="b7"), at=1)
    assert line.report("bagger", DeathReport(boot_id="a9"), at=2).disposition == suppressed("out_of_order")
    assert line.report("bagger", state(2, "fault", "b7"), at=3).disposition == APPLIED


@pytest.mark.parametrize("boot", [OLD, "x", None, NEW + 1])
def test_no_death_silences_the_boot_that_continues(boot: int | str | None) -> None:
    """The death may be accepted or not: live reports of the device afterwards count."""
    line = PackingLine()
    line.report("bagger", state(1, boot=NEW), at=1)
    line.report("bagger", DeathReport(boot_id=boot), at=2)
    assert line.report("bagger", state(2, "fault", NEW), at=3).disposition == APPLIED
    assert status(line) == "fault"


def test_a_death_of_a_newer_boot_is_believed() -> None:
    """Its birth was lost."""
    line = PackingLine()
    line.report("bagger", state(1, boot=NEW), at=1)
    assert line.report("bagger", DeathReport(boot_id=NEW + 1), at=2).disposition == APPLIED
    assert status(line) == "offline"


def test_a_smaller_boot_id_is_news_where_it_was_never_seen() -> None:
    line = PackingLine()
    line.report("bagger", state(1, boot=NEW), at=1)
    assert line.report("bagger", state(0, "fault", OLD), at=2).disposition == APPLIED
    assert status(line) == "fault"


@pytest.mark.parametrize("boots", [(5, 9, 7), ("a", "c", "b"), (9, 5, 7), (5, 9, 3), (9, 7)])
@pytest.mark.parametrize("silent", [False, True])
def test_a_boot_that_its_successor_overtook_is_over(boots: tuple[int | str, ...], *, silent: bool) -> None:
    """Stored reports come late, after the birth that was sent in time; what people did in that boot happened."""
    line = PackingLine()
    *before, current, overtaken = boots
    for boot in before:
        line.report("bagger", BirthReport(boot_id=boot, seq=0), at=0)
    line.report("bagger", BirthReport(boot_id=current, seq=0), at=1)
    line.report("bagger", state(1, boot=current), at=1)
    at = 62 if silent else 2
    over = boots == (5, 9, 7) and not silent
    assert line.report("bagger", BirthReport(boot_id=overtaken, seq=0), at=at).disposition == (
        suppressed("out_of_order") if over else APPLIED
    )
    line.report("bagger", state(1, "stopped", overtaken), at=at)
    assert line.report("bagger", press(2, overtaken), at=at).disposition == APPLIED
    assert line.report("bagger", press(2, overtaken), at=at).disposition == suppressed("duplicate")
    line.report("bagger", state(2, "fault", current), at=at + 1)
    assert status(line) == ("fault" if over else "stopped")


@pytest.mark.parametrize("reports_before", [1, 10, 500])
@pytest.mark.parametrize("died", [True, False])
def test_a_boot_id_used_again_after_a_restart_is_a_new_run(reports_before: int, *, died: bool) -> None:
    """A device without a clock or a counter that survives power-off has the same boot id at every start."""
    line = PackingLine()
    line.report("bagger", BirthReport(boot_id=1, seq=0), at=0)
    for index in range(reports_before):
        line.report("bagger", state(1 + index), at=1 + index)
    if died:
        line.report("bagger", DeathReport(boot_id=1, seq=0), at=999)
    elif reports_before < 20:
        return  # an equal birth among the latest reports is mistaken for a resend
    assert line.report("bagger", BirthReport(boot_id=1, seq=0), at=1_000).disposition == APPLIED
    for index in range(reports_before + 5):
        disposition = line.report("bagger", state(1 + index, "fault"), at=1_001 + index).disposition
        assert disposition == APPLIED, index
    assert line.core.devices.gaps() == (0, 0, 0)
    assert status(line) == "fault"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("overtaken_by", [1, 2, 10, 40])
def test_a_birth_that_was_overtaken_is_late_and_begins_nothing(overtaken_by: int, *, known: bool) -> None:
    """Of a device that was known before its birth is missing; of one seen first, nothing is."""
    line = PackingLine()
    if known:
        line.report("bagger", state(4, boot=OLD), at=0)
    elif overtaken_by > 20:
        return  # it may be the next start of a device that never changes its boot id
    for index in range(overtaken_by):
        line.report("bagger", state(1 + index, "fault", NEW), at=10 + index / 100)
    assert line.report("bagger", BirthReport(boot_id=NEW, seq=0), at=12).disposition == suppressed("out_of_order")
    assert status(line) == "fault"
    assert line.report("bagger", state(overtaken_by + 1, boot=NEW), at=13).disposition == APPLIED
    gaps = line.core.devices.gaps()
    assert (gaps.missed - gaps.filled, gaps.unplaced) == (0, 0)


@pytest.mark.parametrize("reports_before", [1, 22, 100])
@pytest.mark.parametrize("boots", [(OLD, NEW), (NEW, OLD), (NEW, NEW), ("a", "b"), (1, 2, 3)])
def test_a_resent_birth_is_known_by_boot_ids_that_grow(boots: tuple[int | str, ...], reports_before: int) -> None:
    """A device that counts its starts, or dates them, has another id at the next one."""
    line = PackingLine()
    for start, boot in enumerate(boots):
        line.report("bagger", BirthReport(boot_id=boot, seq=0), at=start * 1_000)
        for seq in range(1, reports_before + 1):
            line.report("bagger", state(seq, boot=boot), at=start * 1_000 + seq)
    again = line.report("bagger", BirthReport(boot_id=boots[-1], seq=0), at=5_000).disposition
    grow = boots in ((OLD, NEW), (1, 2, 3))
    assert again == (suppressed("duplicate") if grow or reports_before < 20 else APPLIED)


@pytest.mark.parametrize("reports_before", [1, 22, 100])
@pytest.mark.parametrize("clock", ["moves", "catches up", "stands", "none"])
def test_a_resent_birth_is_known_by_a_clock_that_has_moved_on(reports_before: int, clock: str) -> None:
    """A device that empties its memory after a connect says much before it repeats its birth."""
    line = PackingLine()

    def ts(seq: int) -> float | None:
        caught_up = T0 - 137 * max(reports_before - seq - 2, 0) if seq else T0  # then three reports of the start itself
        return {"moves": T0 + 137 * seq, "catches up": caught_up, "stands": T0, "none": None}[clock]

    birth = BirthReport(boot_id=1, seq=0, ts=ts(0))
    line.report("bagger", birth, at=0)
    for seq in range(1, reports_before + 1):
        line.report("bagger", replace_body(state(seq), ts=ts(seq)), at=0.137 * seq)
    again = line.report("bagger", birth, at=15).disposition
    is_duplicate = clock in ("moves", "catches up") or reports_before < 20
    assert again == (suppressed("duplicate") if is_duplicate else APPLIED)
    assert status(line) == ("running" if is_duplicate else "offline")


def test_a_boot_thought_to_be_over_is_the_live_one_when_the_other_is_silent() -> None:
    line = PackingLine()
    line.report("bagger", state(7, boot="a"), at=0)
    line.report("bagger", state(0, boot="b"), at=1)
    assert line.report("bagger", state(8, "fault", "a"), at=30).disposition == suppressed("out_of_order")
    assert line.report("bagger", state(9, "fault", "a"), at=70).disposition == APPLIED
    assert line.report("bagger", state(10, "stopped", "a"), at=71).disposition == APPLIED
    assert status(line) == "stopped"
    assert line.of(EventType.LINE_STATUS_UPDATE, "bagger")[-2].quality.unplaced
