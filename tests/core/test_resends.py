"""Which messages count as resends: DESIGN, «Duplicates»."""

from bridge.core.events import Place
from bridge.core.records import RESEND_INPUTS, KnownResends, Resend
from bridge.core.reports import Actor, AndonReport, CountsReport, DeathReport, Report
from bridge.core.resends import Resends, digest, resend_of

NEW = KnownResends((), 0)
PRESS = Resend(b"press", dated=False)
DATED = Resend(b"dated", dated=True)
DOUBT = 1_000


def report(body: CountsReport | AndonReport | DeathReport, *, actor: bool = False) -> Report:
    return Report(
        place=Place("s", "a", "l", "e"),
        body=body,
        received_at=0,
        cause="input:1",
        actor=Actor("ann", ()) if actor else None,
        command_id="c" if actor else None,
    )


def test_a_sequence_and_a_command_id_decide_for_themselves() -> None:
    assert resend_of(report(CountsReport(total=1, boot_id=1, seq=2, ts=3)), "t", b"") is None
    assert resend_of(report(AndonReport(action="acknowledge", call_id="x"), actor=True), "t", b"") is None


def test_a_sequence_without_a_boot_id_decides_nothing() -> None:
    assert resend_of(report(CountsReport(total=1, seq=2)), "t", b"p") == Resend(digest("t", b"p"), dated=False)


def test_a_will_is_not_dated_by_the_ts_it_was_written_with() -> None:
    assert resend_of(report(CountsReport(total=1, ts=3)), "t", b"p") == Resend(digest("t", b"p"), dated=True)
    assert resend_of(report(DeathReport(ts=3)), "t", b"p") == Resend(digest("t", b"p"), dated=False)


def test_topic_and_payload_do_not_run_into_each_other() -> None:
    assert digest("ab", b"c") != digest("a", b"bc")


def test_dated_report_is_the_same_however_it_comes_where_the_clock_has_moved_on() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    assert not resends.take(1, DATED, redelivered=False, generation=1)
    assert resends.take(2, DATED, redelivered=False, generation=1, clock_proves=True)
    assert resends.take(3, DATED, redelivered=True, generation=2, clock_proves=True)


def test_dated_report_of_a_clock_that_proves_nothing_is_known_by_its_redelivery_only() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    assert not resends.take(1, DATED, redelivered=False, generation=1)
    assert not resends.take(2, DATED, redelivered=False, generation=1)
    assert resends.take(3, DATED, redelivered=True, generation=2)
    assert resends.take(4, DATED, redelivered=True, generation=2)
    assert not resends.take(5, DATED, redelivered=True, generation=2)


def test_a_clock_proves_nothing_of_a_content_not_seen_before() -> None:
    assert not Resends(NEW, doubt_ms=DOUBT).take(1, DATED, redelivered=False, generation=1, clock_proves=True)


def test_two_equal_presses_are_two_presses() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    assert not resends.take(1, PRESS, redelivered=False, generation=1)
    assert not resends.take(2, PRESS, redelivered=False, generation=1)


def test_redelivery_of_a_press_not_seen_before_is_news() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    assert not resends.take(1, PRESS, redelivered=True, generation=2)


def test_redelivery_settles_one_earlier_message_only() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, PRESS, redelivered=False, generation=1)
    assert resends.take(2, PRESS, redelivered=True, generation=2)
    assert not resends.take(3, PRESS, redelivered=True, generation=2)


def test_redelivery_may_lose_its_acknowledgement_too() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, PRESS, redelivered=False, generation=1)
    assert all(resends.take(n, PRESS, redelivered=True, generation=n) for n in (2, 3, 4))


def test_redelivery_within_the_session_is_known_again_and_again() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, PRESS, redelivered=False, generation=1)
    assert resends.take(2, PRESS, redelivered=True, generation=1)
    assert resends.take(3, PRESS, redelivered=True, generation=1)


def test_redelivery_after_a_restart_is_known_by_the_journal() -> None:
    resends = Resends(KnownResends(((7, PRESS), (8, DATED)), settled=6), doubt_ms=DOUBT)
    assert resends.take(9, PRESS, redelivered=True, generation=1)
    assert resends.take(10, DATED, redelivered=False, generation=1, clock_proves=True)


def test_press_that_the_broker_knows_to_be_taken_hides_no_later_one() -> None:
    resends = Resends(KnownResends(((7, PRESS),), settled=7), doubt_ms=DOUBT)
    assert not resends.take(8, PRESS, redelivered=True, generation=1)


def test_acknowledgement_is_settled_once_its_connection_has_lived_on() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, PRESS, redelivered=False, generation=1)
    resends.settle(0, generation=1)
    resends.acknowledged(1, 100)
    assert resends.settle(100 + DOUBT - 1, generation=1) == 0
    assert resends.settle(100 + DOUBT, generation=1) == 1
    assert not resends.take(2, PRESS, redelivered=True, generation=2)


def test_lost_connection_leaves_acknowledgements_in_doubt() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, PRESS, redelivered=False, generation=1)
    resends.settle(0, generation=1)
    resends.acknowledged(1, 100)
    assert resends.settle(50 * DOUBT, generation=None) == 0
    assert resends.settle(90 * DOUBT, generation=2) == 0
    assert resends.settle(91 * DOUBT - 1, generation=2) == 0
    assert resends.take(2, PRESS, redelivered=True, generation=2)
    assert resends.settle(91 * DOUBT, generation=2) == 1


def test_what_was_acknowledged_to_a_dead_connection_is_known_whenever_it_comes_again() -> None:
    """nats-server waits for its `ack_wait`, 30 s, before it sends again."""
    resends = Resends(NEW, doubt_ms=DOUBT)
    press = Resend(b"press", dated=False, mid=7)
    assert not resends.take(1, press, redelivered=False, generation=1)
    resends.settle(0, generation=2)
    resends.acknowledged(1, 0, but=[1, 2])
    assert resends.settle(50 * DOUBT, generation=2) == 1
    assert resends.take(2, press, redelivered=True, generation=2)
    resends.acknowledged(2, 50 * DOUBT)
    resends.settle(99 * DOUBT, generation=2)
    assert not resends.take(3, press, redelivered=True, generation=3), "that one was acknowledged"


def test_an_identifier_that_is_used_again_settles_what_was_owed() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    press = Resend(b"press", dated=False, mid=7)
    resends.take(1, press, redelivered=False, generation=1)
    resends.acknowledged(1, 0, but=[1])
    resends.free(7)
    assert not resends.take(2, press, redelivered=False, generation=2)
    assert resends.take(3, press, redelivered=True, generation=3), "the second, not the first"


def test_window_is_bounded() -> None:
    resends = Resends(NEW, doubt_ms=DOUBT)
    resends.take(1, DATED, redelivered=False, generation=1)
    resends.take(2, PRESS, redelivered=False, generation=1)
    assert resends.take(RESEND_INPUTS, DATED, redelivered=False, generation=1, clock_proves=True)
    resends.take(RESEND_INPUTS + 2, Resend(b"x", dated=True), redelivered=False, generation=1)
    assert not resends.take(RESEND_INPUTS + 3, PRESS, redelivered=True, generation=2)
    again = resends.take(RESEND_INPUTS + 4, DATED, redelivered=False, generation=1, clock_proves=True)
    assert again, "known again by its resend"
