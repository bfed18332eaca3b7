"""The presses and commands that a bridge silenced: of none of their copies came what people pressed for.

A press that is suppressed for its meaning (a call that is not open, a release) was seen. One that is suppressed for its
number, its way or its quality was not, nor was one that is quarantined. A bounce is neither: domain.md, «Andon and
escalation», takes a press within two seconds of the one before for that one where nothing identifies it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bridge.domain.records import JournalEntry
from tests.faults.simulated_load import SentReport
from tests.faults.simulator_truth import PLACES, PlayedTruth

NOT_FOR_ITSELF: Final = ("duplicate", "out_of_order", "retained", "historical", "bad_quality", "debounced")
"""Reasons to suppress a press that are about its number, its way or its time, and not about the call it is for."""
DEBOUNCE_MS: Final = 2_000

PressKey = tuple[str, str]
"""(topic, type of the call)."""


def report_of(entry: JournalEntry) -> SentReport:
    return entry.input.topic, entry.input.payload


def silenced(entries: Sequence[JournalEntry], presses: Sequence[SentReport], truth: PlayedTruth) -> list[SentReport]:
    """Return presses and commands that are not in the journal, or that no copy of had a chance to have an effect."""
    received = {report_of(entry) for entry in entries if _is_received(entry)}
    received.update(_bounces(entries, truth))
    return [press for press in presses if press not in received]


def _is_received(entry: JournalEntry) -> bool:
    effect = entry.disposition.effect.value
    return effect == "applied" or (effect != "quarantined" and entry.disposition.reason not in NOT_FOR_ITSELF)


def _bounces(entries: Sequence[JournalEntry], truth: PlayedTruth) -> Iterator[SentReport]:
    """Yield debounced presses that cannot be distinguished from a press counted within two seconds of them."""
    pressed_at = _times_in(truth)
    counted: dict[PressKey, list[set[int]]] = {}
    for entry in entries:
        if entry.disposition.effect.value == "applied" and _is_press(report_of(entry)):
            counted.setdefault(_key(report_of(entry)), []).append(pressed_at(entry))
    for entry in entries:
        report = report_of(entry)
        if entry.disposition.reason != "debounced" or _is_identified(report, truth):
            continue
        near = (
            abs(at - before) for times in counted.get(_key(report), ()) for before in times for at in pressed_at(entry)
        )
        if any(distance <= DEBOUNCE_MS for distance in near):
            yield report


def _times_in(truth: PlayedTruth) -> Callable[[JournalEntry], set[int]]:
    """Return when a report arrived and when its action happened: the bridge dates it by one of the two."""
    done: dict[SentReport, set[int]] = {}
    for true_report in truth.truth.actions:
        if true_report.payload:
            done.setdefault(truth.report(true_report), set()).add(true_report.at)
    return lambda entry: {entry.input.received_at} | done.get(report_of(entry), set())


def _is_identified(report: SentReport, truth: PlayedTruth) -> bool:
    """Return whether a copy can be distinguished from a second press; a level of an input bounces by its contact."""
    return report[0].split("/")[-2] in PLACES and "input" not in json.loads(report[1]) and truth.identifies(report)


def _is_press(report: SentReport) -> bool:
    if not report[0].endswith("/andon"):
        return False
    body = json.loads(report[1])
    return body.get("action") == "raise" or body.get("input") is True


def _key(report: SentReport) -> PressKey:
    return report[0], json.loads(report[1]).get("andon_type", "")
