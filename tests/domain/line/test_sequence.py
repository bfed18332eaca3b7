"""Devices whose sequence jumps, wraps, starts again or is used twice: what is not recognised has its effect."""

from dataclasses import replace

import pytest
from msgspec.structs import replace as replace_body

from bridge.domain.event_data import Production
from bridge.domain.events import EventType, Place
from bridge.domain.line.device.sequence import MAX_HOLES
from bridge.domain.reports import (
    APPLIED,
    AndonReport,
    BirthReport,
    CountsReport,
    DeathReport,
    Disposition,
    Report,
    StateReport,
    suppressed,
)
from tests.support.packing_line import T0, Shop, equipment, line_spec, plant_file

OLD, NEW = 1_767_500_000_000, 1_767_600_000_000


def shop_of(modulus: int) -> Shop:
    return Shop(plant_file(line_spec(equipment=equipment(seq_modulus=modulus))))


def state(seq: int, word: str = "running", boot: int | str = 1) -> StateReport:
    return StateReport(state=word, boot_id=boot, seq=seq)


def press(seq: int, boot: int | str = 1) -> AndonReport:
    return AndonReport(andon_type="safety", action="raise", boot_id=boot, seq=seq)


def status(shop: Shop) -> str:
    return shop.statuses("bagger")[-1].status


@pytest.mark.parametrize("modulus", [256, 4_096, 65_536, 2**32])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.547, 0.74, 0.95])
def test_a_jump_of_any_size_is_applied_and_counted(modulus: int, share: float) -> None:
    """Also over half of the modulus, where the new number is nearer behind than ahead."""
    shop = shop_of(modulus)
    to = round(modulus * share)
    shop.say("bagger", BirthReport(boot_id=1, seq=0), at=0)
    shop.say("bagger", state(1), at=1)
    assert shop.say("bagger", state(to, "fault"), at=2).disposition == APPLIED
    assert status(shop) == "fault"
    assert shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-1].quality.gap == to - 2
    assert shop.line.devices.gaps().missed == to - 2


@pytest.mark.parametrize("modulus", [256, 4_096, 65_536, 2**32])
def test_a_press_after_a_jump_is_a_call(modulus: int) -> None:
    shop = shop_of(modulus)
    shop.say("bagger", BirthReport(boot_id=1, seq=0), at=0)
    shop.say("bagger", state(1), at=1)
    shop.say("bagger", press(round(modulus * 0.547)), at=2)
    assert len(shop.of(EventType.ANDON_EVENT, "bagger")) == 1


def counted_late(shop: Shop, *, clock: int | None) -> list[Disposition]:
    """Pass 48 counts of an 8-bit sequence on at once, and two of them after the rest; return what became of the two.

    `clock`: the device's at number 0; it counts every 10 s.
    """

    def say(seq: int, at: float) -> Disposition:
        ts = None if clock is None else clock + 10_000 * seq
        body = CountsReport(boot_id=1, seq=seq % 256, ts=ts, good=4 * seq)
        return shop.say("bagger", body, at=at).disposition

    shop.say("bagger", StateReport(state="running", boot_id=1, seq=239), at=0)
    for number, seq in enumerate(each for each in range(240, 290) if each not in (258, 260)):
        say(seq, 1 + number / 1000)
    late = [say(seq, 2) for seq in (258, 260)]
    for seq in (290, 291):
        say(seq, 10 * (seq - 289))
    shop.wait(60)
    return late


def test_a_clock_proves_late_what_a_short_sequence_leaves_open() -> None:
    """The register did not go back: the same number may only have been overtaken by 30 others."""
    shop = shop_of(256)
    assert counted_late(shop, clock=T0 - 700_000) == [suppressed("out_of_order")] * 2
    counted = shop.of(EventType.PRODUCTION_UPDATE, "bagger")[-1].data
    assert isinstance(counted, Production)
    assert counted.good_count == 4 * (291 - 240)


@pytest.mark.parametrize("clock", [None, 0])
def test_without_a_clock_or_with_one_never_set_it_is_applied(clock: int | None) -> None:
    assert counted_late(shop_of(256), clock=clock) == [APPLIED] * 2


@pytest.mark.parametrize("before", [3, 1_000])
@pytest.mark.parametrize("jump", [129, 140, 160, 190])
def test_all_that_follows_a_jump_over_half_the_modulus_is_applied(before: int, jump: int) -> None:
    """A broker's queue was full; the device may have been heard for many turns of its sequence before."""
    shop = shop_of(256)
    for index in range(before):
        shop.say("bagger", state(index % 256), at=index)
    words = ["fault", "stopped"] * 10
    for index, word in enumerate(words):
        seq = (before - 1 + jump + index) % 256
        assert shop.say("bagger", state(seq, word), at=before + 10 + index).disposition == APPLIED, index
        assert status(shop) == word
    assert shop.line.devices.gaps().missed == jump - 1


def test_repeated_jumps_hide_nothing_either() -> None:
    """The number that a jump leads to may be one that an earlier jump left out."""
    shop, seq = shop_of(256), 0
    for index in range(200):
        seq += 140 if index % 7 == 0 else 1
        word = ("running", "fault", "stopped")[index % 3]
        assert shop.say("bagger", state(seq % 256, word), at=index).disposition == APPLIED, index
        assert status(shop) == word


@pytest.mark.parametrize("boot", [OLD, NEW - 1])
def test_a_late_death_of_an_older_boot_is_ignored(boot: int) -> None:
    """Also of a boot that was never seen, or is no longer remembered."""
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id=NEW, seq=0), at=0)
    shop.say("bagger", state(1, boot=NEW), at=1)
    assert shop.say("bagger", DeathReport(boot_id=boot, seq=0), at=2).disposition == suppressed("out_of_order")
    assert status(shop) == "running"
    for index in range(5):
        assert shop.say("bagger", state(2 + index, "fault", NEW), at=3 + index).disposition == APPLIED
    assert status(shop) == "fault"


def test_a_late_death_of_an_unknown_boot_without_an_order_is_ignored() -> None:
    shop = Shop()
    shop.say("bagger", state(1, boot="b7"), at=1)
    assert shop.say("bagger", DeathReport(boot_id="a9"), at=2).disposition == suppressed("out_of_order")
    assert shop.say("bagger", state(2, "fault", "b7"), at=3).disposition == APPLIED


@pytest.mark.parametrize("boot", [OLD, "x", None, NEW + 1])
def test_no_death_silences_the_boot_that_goes_on(boot: int | str | None) -> None:
    """Whether it is believed or not: what the device says live afterwards counts."""
    shop = Shop()
    shop.say("bagger", state(1, boot=NEW), at=1)
    shop.say("bagger", DeathReport(boot_id=boot), at=2)
    assert shop.say("bagger", state(2, "fault", NEW), at=3).disposition == APPLIED
    assert status(shop) == "fault"


def test_a_death_of_a_newer_boot_is_believed() -> None:
    """Its birth was lost."""
    shop = Shop()
    shop.say("bagger", state(1, boot=NEW), at=1)
    assert shop.say("bagger", DeathReport(boot_id=NEW + 1), at=2).disposition == APPLIED
    assert status(shop) == "offline"


def test_a_smaller_boot_id_is_news_where_it_was_never_seen() -> None:
    shop = Shop()
    shop.say("bagger", state(1, boot=NEW), at=1)
    assert shop.say("bagger", state(0, "fault", OLD), at=2).disposition == APPLIED
    assert status(shop) == "fault"


@pytest.mark.parametrize("boots", [(5, 9, 7), ("a", "c", "b"), (9, 5, 7), (5, 9, 3), (9, 7)])
@pytest.mark.parametrize("silent", [False, True])
def test_a_boot_that_its_successor_overtook_is_over(boots: tuple[int | str, ...], *, silent: bool) -> None:
    """Stored reports come late, after the birth that was sent in time; what people did in that boot happened."""
    shop = Shop()
    *before, current, overtaken = boots
    for boot in before:
        shop.say("bagger", BirthReport(boot_id=boot, seq=0), at=0)
    shop.say("bagger", BirthReport(boot_id=current, seq=0), at=1)
    shop.say("bagger", state(1, boot=current), at=1)
    at = 62 if silent else 2
    over = boots == (5, 9, 7) and not silent
    assert shop.say("bagger", BirthReport(boot_id=overtaken, seq=0), at=at).disposition == (
        suppressed("out_of_order") if over else APPLIED
    )
    shop.say("bagger", state(1, "stopped", overtaken), at=at)
    assert shop.say("bagger", press(2, overtaken), at=at).disposition == APPLIED
    assert shop.say("bagger", press(2, overtaken), at=at).disposition == suppressed("duplicate")
    shop.say("bagger", state(2, "fault", current), at=at + 1)
    assert status(shop) == ("fault" if over else "stopped")


@pytest.mark.parametrize("reports_before", [1, 10, 500])
@pytest.mark.parametrize("died", [True, False])
def test_a_boot_id_used_again_after_a_restart_is_a_new_run(reports_before: int, *, died: bool) -> None:
    """A device without a clock or a counter that survives power-off has the same boot id at every start."""
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id=1, seq=0), at=0)
    for index in range(reports_before):
        shop.say("bagger", state(1 + index), at=1 + index)
    if died:
        shop.say("bagger", DeathReport(boot_id=1, seq=0), at=999)
    elif reports_before < 20:
        return  # an equal birth among the latest reports is taken for a resend
    assert shop.say("bagger", BirthReport(boot_id=1, seq=0), at=1_000).disposition == APPLIED
    for index in range(reports_before + 5):
        disposition = shop.say("bagger", state(1 + index, "fault"), at=1_001 + index).disposition
        assert disposition == APPLIED, index
    assert shop.line.devices.gaps() == (0, 0, 0)
    assert status(shop) == "fault"


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("overtaken_by", [1, 2, 10, 40])
def test_a_birth_that_was_overtaken_is_late_and_begins_nothing(overtaken_by: int, *, known: bool) -> None:
    """Of a device that was known before its birth is missing; of one heard first, nothing is."""
    shop = Shop()
    if known:
        shop.say("bagger", state(4, boot=OLD), at=0)
    elif overtaken_by > 20:
        return  # it may be the next start of a device that never changes its boot id
    for index in range(overtaken_by):
        shop.say("bagger", state(1 + index, "fault", NEW), at=10 + index / 100)
    assert shop.say("bagger", BirthReport(boot_id=NEW, seq=0), at=12).disposition == suppressed("out_of_order")
    assert status(shop) == "fault"
    assert shop.say("bagger", state(overtaken_by + 1, boot=NEW), at=13).disposition == APPLIED
    gaps = shop.line.devices.gaps()
    assert (gaps.missed - gaps.filled, gaps.unplaced) == (0, 0)


@pytest.mark.parametrize("reports_before", [1, 22, 100])
@pytest.mark.parametrize("boots", [(OLD, NEW), (NEW, OLD), (NEW, NEW), ("a", "b"), (1, 2, 3)])
def test_a_resent_birth_is_known_by_boot_ids_that_grow(boots: tuple[int | str, ...], reports_before: int) -> None:
    """A device that counts its starts, or dates them, has another id at the next one."""
    shop = Shop()
    for start, boot in enumerate(boots):
        shop.say("bagger", BirthReport(boot_id=boot, seq=0), at=start * 1_000)
        for seq in range(1, reports_before + 1):
            shop.say("bagger", state(seq, boot=boot), at=start * 1_000 + seq)
    again = shop.say("bagger", BirthReport(boot_id=boots[-1], seq=0), at=5_000).disposition
    grow = boots in ((OLD, NEW), (1, 2, 3))
    assert again == (suppressed("duplicate") if grow or reports_before < 20 else APPLIED)


@pytest.mark.parametrize("reports_before", [1, 22, 100])
@pytest.mark.parametrize("clock", ["moves", "catches up", "stands", "none"])
def test_a_resent_birth_is_known_by_a_clock_that_has_moved_on(reports_before: int, clock: str) -> None:
    """A device that empties its memory after a connect says much before it repeats its birth."""
    shop = Shop()

    def ts(seq: int) -> float | None:
        kept = T0 - 137 * max(reports_before - seq - 2, 0) if seq else T0  # then three reports of the start itself
        return {"moves": T0 + 137 * seq, "catches up": kept, "stands": T0, "none": None}[clock]

    birth = BirthReport(boot_id=1, seq=0, ts=ts(0))
    shop.say("bagger", birth, at=0)
    for seq in range(1, reports_before + 1):
        shop.say("bagger", replace_body(state(seq), ts=ts(seq)), at=0.137 * seq)
    again = shop.say("bagger", birth, at=15).disposition
    known = clock in ("moves", "catches up") or reports_before < 20
    assert again == (suppressed("duplicate") if known else APPLIED)
    assert status(shop) == ("running" if known else "offline")


@pytest.mark.parametrize("reports_before", [5, 500])
def test_a_sequence_that_starts_again_without_a_birth_is_applied_and_flagged(reports_before: int) -> None:
    shop = Shop()
    for index in range(reports_before):
        shop.say("bagger", state(index), at=index)
    words = ["fault", "stopped"] * 10
    for index, word in enumerate(words):
        assert shop.say("bagger", state(index, word), at=1_000 + index).disposition == APPLIED, index
        assert status(shop) == word
    events = shop.of(EventType.LINE_STATUS_UPDATE, "bagger")
    assert events[-len(words)].quality.unplaced
    assert not events[-1].quality.unplaced, "from the third on the sequence is known again"
    assert shop.line.devices.gaps() == (0, 0, 2)


def test_one_stray_number_does_not_hide_what_follows() -> None:
    shop = Shop()
    for index in range(300):
        shop.say("bagger", state(index), at=index)
    assert shop.say("bagger", state(4, "fault"), at=301).disposition == APPLIED
    assert shop.say("bagger", state(300, "stopped"), at=302).disposition == APPLIED
    assert shop.line.devices.gaps() == (0, 0, 1)


def test_one_number_far_ahead_hides_what_follows_for_a_minute_at_most() -> None:
    """5, 90005, 6: what comes then looks late, and is where the sequence is."""
    shop = Shop()
    shop.say("bagger", state(5), at=0)
    shop.say("bagger", state(60_005), at=1)
    applied = [shop.say("bagger", state(6 + index, "fault"), at=2 + 10 * index).disposition for index in range(12)]
    assert applied[-1] == APPLIED
    assert applied.index(APPLIED) <= 7
    assert applied[applied.index(APPLIED) :] == [APPLIED] * (12 - applied.index(APPLIED))
    assert status(shop) == "fault"


def test_a_boot_thought_to_be_over_is_the_live_one_when_the_other_is_silent() -> None:
    shop = Shop()
    shop.say("bagger", state(7, boot="a"), at=0)
    shop.say("bagger", state(0, boot="b"), at=1)
    assert shop.say("bagger", state(8, "fault", "a"), at=30).disposition == suppressed("out_of_order")
    assert shop.say("bagger", state(9, "fault", "a"), at=70).disposition == APPLIED
    assert shop.say("bagger", state(10, "stopped", "a"), at=71).disposition == APPLIED
    assert status(shop) == "stopped"
    assert shop.of(EventType.LINE_STATUS_UPDATE, "bagger")[-2].quality.unplaced


def test_a_report_that_the_broker_marks_is_known_further_behind_than_one_that_is_only_equal() -> None:
    """With a small modulus an equal report a third of a turn back may be a new one."""
    shop = shop_of(64)
    for index in range(41):
        shop.say("bagger", press(index), at=10 * index)
    again = Report(
        place=Place("north", "pack", "L1", "bagger"), body=press(15), received_at=T0 + 500_000, cause="input:0"
    )
    redelivered = replace(again, redelivered=True)
    assert shop.line.apply(redelivered, redelivered.received_at).disposition == suppressed("duplicate")
    assert shop.line.apply(again, again.received_at).disposition == APPLIED


def test_a_redelivery_from_before_a_boot_id_was_used_again_is_known() -> None:
    shop = Shop()
    shop.say("bagger", BirthReport(boot_id=1, seq=0), at=0)
    for index in range(1, 40):
        shop.say("bagger", press(index), at=10 * index)
    shop.say("bagger", BirthReport(boot_id=1, seq=0), at=500)
    again = Report(
        place=Place("north", "pack", "L1", "bagger"), body=press(30), received_at=T0 + 501_000, cause="input:0"
    )
    redelivered = replace(again, redelivered=True)
    assert shop.line.apply(redelivered, redelivered.received_at).disposition == suppressed("duplicate")
    assert shop.line.apply(again, again.received_at).disposition == APPLIED, "the new run has come there"


def test_a_number_before_the_first_one_seen_is_no_jump_over_all_numbers() -> None:
    shop = Shop()
    shop.say("bagger", state(5_000), at=0)
    assert shop.say("bagger", state(4_000, "fault"), at=1).disposition == APPLIED
    assert status(shop) == "fault"
    assert shop.line.devices.gaps() == (0, 0, 1)


def test_what_was_overtaken_before_the_first_one_seen_is_late() -> None:
    shop = Shop()
    shop.say("bagger", state(7), at=0)
    assert shop.say("bagger", state(5, "fault"), at=1).disposition == suppressed("out_of_order")
    assert shop.say("bagger", press(6), at=2).disposition == APPLIED
    assert shop.line.devices.gaps() == (1, 1, 0)


def test_holes_that_are_forgotten_prove_nothing() -> None:
    shop = Shop()
    for index in range(MAX_HOLES + 2):
        shop.say("bagger", state(2 * index), at=index)
    assert shop.say("bagger", press(1), at=100).disposition == APPLIED
    assert shop.say("bagger", press(101), at=101).disposition == APPLIED
    assert shop.line.devices.gaps() == (MAX_HOLES + 1, 1, 1)
