"""Recognition of resent messages. Source: design.md, «Duplicates»."""

from bridge.domain.dedup import Deduplicator, digest_message, message_digest_of
from bridge.domain.place import Place
from bridge.domain.records import DEDUP_INPUTS, DedupWindow, MessageDigest
from bridge.domain.reports import Actor, AndonReport, CountsReport, DeathReport, Report

NEW = DedupWindow((), 0)
PRESS = MessageDigest(b"press", has_timestamp=False)
DATED = MessageDigest(b"dated", has_timestamp=True)
DOUBT = 1_000


def report(body: CountsReport | AndonReport | DeathReport, *, actor: bool = False) -> Report:
    return Report(
        place=Place("s", "a", "l", "e"),
        body=body,
        received_at=0,
        cause="input:1",
        actor=Actor("ann", (), ("+",)) if actor else None,
        command_id="c" if actor else None,
    )


def test_a_sequence_and_a_command_id_decide_for_themselves() -> None:
    assert message_digest_of(report(CountsReport(total=1, boot_id=1, seq=2, ts=3)), "t", b"") is None
    assert message_digest_of(report(AndonReport(action="acknowledge", call_id="x"), actor=True), "t", b"") is None


def test_a_sequence_without_a_boot_id_decides_nothing() -> None:
    assert message_digest_of(report(CountsReport(total=1, seq=2)), "t", b"p") == MessageDigest(
        digest_message("t", b"p"), has_timestamp=False
    )


def test_a_will_is_not_dated_by_the_ts_it_was_written_with() -> None:
    assert message_digest_of(report(CountsReport(total=1, ts=3)), "t", b"p") == MessageDigest(
        digest_message("t", b"p"), has_timestamp=True
    )
    assert message_digest_of(report(DeathReport(ts=3)), "t", b"p") == MessageDigest(
        digest_message("t", b"p"), has_timestamp=False
    )


def test_topic_and_payload_do_not_run_into_each_other() -> None:
    assert digest_message("ab", b"c") != digest_message("a", b"bc")


def test_dated_report_is_the_same_however_it_comes_where_the_clock_has_moved_on() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    assert not resends.check_and_add(1, DATED, redelivered=False, generation=1)
    assert resends.check_and_add(2, DATED, redelivered=False, generation=1, clock_proves=True)
    assert resends.check_and_add(3, DATED, redelivered=True, generation=2, clock_proves=True)


def test_dated_report_of_a_clock_that_proves_nothing_is_known_by_its_redelivery_only() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    assert not resends.check_and_add(1, DATED, redelivered=False, generation=1)
    assert not resends.check_and_add(2, DATED, redelivered=False, generation=1)
    assert resends.check_and_add(3, DATED, redelivered=True, generation=2)
    assert resends.check_and_add(4, DATED, redelivered=True, generation=2)
    assert not resends.check_and_add(5, DATED, redelivered=True, generation=2)


def test_a_clock_proves_nothing_of_a_content_not_seen_before() -> None:
    assert not Deduplicator(NEW, doubt_ms=DOUBT).check_and_add(
        1, DATED, redelivered=False, generation=1, clock_proves=True
    )


def test_two_equal_presses_are_two_presses() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    assert not resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    assert not resends.check_and_add(2, PRESS, redelivered=False, generation=1)


def test_redelivery_of_a_press_not_seen_before_is_news() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    assert not resends.check_and_add(1, PRESS, redelivered=True, generation=2)


def test_redelivery_settles_one_earlier_message_only() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    assert resends.check_and_add(2, PRESS, redelivered=True, generation=2)
    assert not resends.check_and_add(3, PRESS, redelivered=True, generation=2)


def test_redelivery_may_lose_its_acknowledgement_too() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    assert all(resends.check_and_add(n, PRESS, redelivered=True, generation=n) for n in (2, 3, 4))


def test_redelivery_within_the_session_is_known_again_and_again() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    assert resends.check_and_add(2, PRESS, redelivered=True, generation=1)
    assert resends.check_and_add(3, PRESS, redelivered=True, generation=1)


def test_redelivery_after_a_restart_is_known_by_the_journal() -> None:
    resends = Deduplicator(DedupWindow(((7, PRESS), (8, DATED)), acked_up_to=6), doubt_ms=DOUBT)
    assert resends.check_and_add(9, PRESS, redelivered=True, generation=1)
    assert resends.check_and_add(10, DATED, redelivered=False, generation=1, clock_proves=True)


def test_press_that_the_broker_knows_to_be_taken_hides_no_later_one() -> None:
    resends = Deduplicator(DedupWindow(((7, PRESS),), acked_up_to=7), doubt_ms=DOUBT)
    assert not resends.check_and_add(8, PRESS, redelivered=True, generation=1)


def test_acknowledgement_is_settled_once_its_connection_has_lived_on() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    resends.advance_acked(0, generation=1)
    resends.record_acks(1, 100)
    assert resends.advance_acked(100 + DOUBT - 1, generation=1) == 0
    assert resends.advance_acked(100 + DOUBT, generation=1) == 1
    assert not resends.check_and_add(2, PRESS, redelivered=True, generation=2)


def test_lost_connection_leaves_acknowledgements_in_doubt() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, PRESS, redelivered=False, generation=1)
    resends.advance_acked(0, generation=1)
    resends.record_acks(1, 100)
    assert resends.advance_acked(50 * DOUBT, generation=None) == 0
    assert resends.advance_acked(90 * DOUBT, generation=2) == 0
    assert resends.advance_acked(91 * DOUBT - 1, generation=2) == 0
    assert resends.check_and_add(2, PRESS, redelivered=True, generation=2)
    assert resends.advance_acked(91 * DOUBT, generation=2) == 1


def test_a_message_acknowledged_to_a_dead_connection_is_a_duplicate_whenever_redelivered() -> None:
    """nats-server waits for its `ack_wait`, 30 s, before it sends again."""
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    press = MessageDigest(b"press", has_timestamp=False, packet_id=7)
    assert not resends.check_and_add(1, press, redelivered=False, generation=1)
    resends.advance_acked(0, generation=2)
    resends.record_acks(1, 0, except_for=[1, 2])
    assert resends.advance_acked(50 * DOUBT, generation=2) == 1
    assert resends.check_and_add(2, press, redelivered=True, generation=2)
    resends.record_acks(2, 50 * DOUBT)
    resends.advance_acked(99 * DOUBT, generation=2)
    assert not resends.check_and_add(3, press, redelivered=True, generation=3), "that one was acknowledged"


def test_an_identifier_that_is_used_again_settles_what_was_owed() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    press = MessageDigest(b"press", has_timestamp=False, packet_id=7)
    resends.check_and_add(1, press, redelivered=False, generation=1)
    resends.record_acks(1, 0, except_for=[1])
    resends.release_packet_id(7)
    assert not resends.check_and_add(2, press, redelivered=False, generation=2)
    assert resends.check_and_add(3, press, redelivered=True, generation=3), "the second, not the first"


def test_window_is_bounded() -> None:
    resends = Deduplicator(NEW, doubt_ms=DOUBT)
    resends.check_and_add(1, DATED, redelivered=False, generation=1)
    resends.check_and_add(2, PRESS, redelivered=False, generation=1)
    assert resends.check_and_add(DEDUP_INPUTS, DATED, redelivered=False, generation=1, clock_proves=True)
    resends.check_and_add(DEDUP_INPUTS + 2, MessageDigest(b"x", has_timestamp=True), redelivered=False, generation=1)
    assert not resends.check_and_add(DEDUP_INPUTS + 3, PRESS, redelivered=True, generation=2)
    again = resends.check_and_add(DEDUP_INPUTS + 4, DATED, redelivered=False, generation=1, clock_proves=True)
    assert again, "known again by its resend"
