"""Count of silenced presses: each way to silence one counts, and no press that the rules suppress."""

import json

import pytest

from bridge.domain.records import Input, JournalEntry
from bridge.domain.reports import APPLIED, Disposition, quarantined, rejected, suppressed
from device_sim.truth.truth import TrueReport, Truth
from tests.faults.silenced_presses import silenced
from tests.faults.simulated_load import SentReport
from tests.faults.simulator_truth import PLACES, PlayedTruth

BUTTON = next(name for name in PLACES if name.startswith("Andon"))
PRESS = {"action": "raise", "andon_type": "material"}
LEVEL = {"input": True, "andon_type": "material"}
APART = 60_000


def true_report(number: int, body: dict[str, object], *, at: int, seq: int | None) -> TrueReport:
    numbered = {} if seq is None else {"boot_id": 1, "seq": seq}
    payload = json.dumps({**body, "operator": f"{number}", **numbered}).encode()
    return TrueReport(number, at, BUTTON, "andon", body, seq=seq, payload=payload, fate="published")


def received(report: SentReport, disposition: Disposition, *, at: int) -> JournalEntry:
    topic, payload = report
    return JournalEntry(input=Input(number=at, topic=topic, payload=payload, received_at=at), disposition=disposition)


def lost(
    *, body: dict[str, object], numbered: bool, done: tuple[int, int], came: tuple[int, int], second: Disposition
) -> int:
    """Return how many of two presses are silenced, of which the first counted."""
    traits = {"boot_ids": "time", "clock": {"stands_at": None, "whole_seconds": False}, "qos0": []}
    truth = Truth(1, "clean", 0, 1, traits={BUTTON: traits})
    truth.said = [true_report(number, body, at=at, seq=number if numbered else None) for number, at in enumerate(done)]
    reports = [PlayedTruth.report(report) for report in truth.said]
    played = PlayedTruth(truth, frozenset(reports))
    entries = [received(reports[0], APPLIED, at=came[0]), received(reports[1], second, at=came[1])]
    return len(silenced(entries, reports, played))


@pytest.mark.parametrize(
    ("second", "silent"),
    [
        (APPLIED, 0),
        (rejected("unknown_call"), 0),
        (suppressed("older_than_raise"), 0),
        (suppressed("duplicate"), 1),
        (suppressed("out_of_order"), 1),
        (suppressed("historical"), 1),
        (suppressed("bad_quality"), 1),
        (suppressed("debounced"), 1),
        (quarantined("not_json"), 1),
    ],
)
@pytest.mark.parametrize("body", [PRESS, LEVEL])
def test_a_press_is_silenced_unless_its_own_call_is_why_it_had_no_effect(
    body: dict[str, object], second: Disposition, silent: int
) -> None:
    assert lost(body=body, numbered=False, done=(0, APART), came=(0, APART), second=second) == silent


@pytest.mark.parametrize(("done", "came"), [((0, 1_500), (0, 60_000)), ((0, 60_000), (90_000, 90_500))])
@pytest.mark.parametrize(
    ("body", "numbered", "silent"), [(PRESS, False, 0), (LEVEL, False, 0), (LEVEL, True, 0), (PRESS, True, 1)]
)
def test_a_bounce_is_not_silenced_unless_its_number_shows_that_it_is_none(
    body: dict[str, object], done: tuple[int, int], came: tuple[int, int], silent: int, *, numbered: bool
) -> None:
    """Two presses within two seconds, or two that came from a queue within them."""
    assert lost(body=body, numbered=numbered, done=done, came=came, second=suppressed("debounced")) == silent
