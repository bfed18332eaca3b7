"""The bridge killed, stopped and cut off while devices misbehave: nothing lost, and nothing claimed of its absences.

Real Mosquitto, real `floor run`, and the simulator's devices on real connections, under each of its named profiles.
"""

import asyncio
import json
import random
import signal
from collections.abc import Mapping, Sequence
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.domain.internal_inputs import ABSENCE_TOPIC, BridgeAbsence
from bridge.domain.records import JournalEntry
from device_sim import profile
from tests.faults.disturbed_bridge import SCALE, AbsenceSpan, DisturbedBridge, disturbed_bridge
from tests.faults.loss_ledger import Journalled, Mismatches
from tests.faults.silenced_presses import report_of, silenced
from tests.faults.simulated_load import SentReport
from tests.faults.simulator_truth import PlayedTruth
from tests.faults.test_absence import absences
from tests.recount.core_driver import DrivenRun
from tests.recount.piece_accounts import PieceAccount, accounts
from tests.recount.recount import build_line_histories
from tests.recount.reported_facts import millis
from tests.support import run_record
from tests.support.brokers import RunningBroker, until

KILLS: Final = 4
SECONDS: Final = 40.0  # of the plant, in which all of it happens
PAUSE_SECONDS: Final = (1.5, 3.0)
ABSENT_SECONDS: Final = (0.1, 1.5)
LOST_SECONDS: Final = 20.0
NOTICE_SECONDS: Final = 10.0
REMEMBERED: Final = 128  # numbers of a boot whose content is known: docs/devices.md
REMEMBERED_OF_PAST_BOOT: Final = 32


@pytest.mark.faults
@pytest.mark.parametrize("name", profile.NAMES)
async def test_a_bridge_that_dies_among_disturbed_devices_loses_and_invents_nothing(
    tmp_path: Path, mosquitto: RunningBroker, name: str
) -> None:
    chance = random.Random(name)
    async with disturbed_bridge(tmp_path, mosquitto, name, seconds=SECONDS) as disturbed:
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
            await restart(disturbed, signal.SIGKILL, away=chance.uniform(*ABSENT_SECONDS))
        await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
        await restart(disturbed, signal.SIGTERM, away=chance.uniform(*ABSENT_SECONDS))
        await lose_the_network(disturbed)
        await restart_the_broker(disturbed)
        ledger, truth = await disturbed.close_ledger()
    journalled = ledger.journalled
    pieces = pieces_of(truth, journalled)
    actions = [action for action in truth.truth.actions if truth.is_acknowledged(action)]
    presses = [truth.report(action) for action in actions] + disturbed.load.acknowledged
    lost = silenced(journalled.entries, presses, truth)
    unobserved = absences_of(journalled, disturbed.away)
    unknown = sum(absence.until - absence.since for absence in unobserved) / 60_000
    made, forgotten, counted = (sum(getattr(piece, key) for piece in pieces) for key in ("made", "lost", "counted"))
    declared = sum(abs(piece.difference) for piece in pieces)
    wrong = without_explained(ledger.wrong, truth, journalled)
    explained = ", ".join(f"{len(entries) - len(wrong.get(name, ()))} {name}" for name, entries in ledger.wrong.items())
    run_record.note(
        f"{name}: {KILLS} kills, a stop, a half-open link and a broker's restart",
        f"{SECONDS * SCALE / 60:.0f} minutes, in which the profile cut the network {disturbed.network_cuts} times; "
        f"{replace(ledger, wrong=wrong)}, explained: {explained or 'nothing'}; "
        f"of presses and commands {len(presses):,}, lost {len(lost)}; "
        f"pieces made {made:,}, forgotten by registers {forgotten:,}, counted {counted:,}, "
        f"difference declared {declared:,}; {len(unobserved)} absences of {unknown:.0f} minutes",
    )
    assert wrong == {}
    assert lost == []
    assert [piece for piece in pieces if not piece.is_declared] == []
    assert carried_over(journalled, unobserved) == []


async def restart(disturbed: DisturbedBridge, number: signal.Signals, *, away: float) -> None:
    with disturbed.absent():
        code = await disturbed.bridge.stop(number)
        assert code == (0 if number is signal.SIGTERM else -signal.SIGKILL), disturbed.bridge.log()
        await asyncio.sleep(away)
        await disturbed.bridge.launch()
    await disturbed.bridge.ready()


async def lose_the_network(disturbed: DisturbedBridge) -> None:
    """Leave the bridge's connections half-open until it reports its absence."""
    async with disturbed.network_free:
        disturbed.network.freeze()
        await until(lambda: not disturbed.dashboard.live, seconds=NOTICE_SECONDS, what="it is noticed")
        before = len(absences(disturbed.bridge))
        await until(
            lambda: len(absences(disturbed.bridge)) > before, seconds=LOST_SECONDS, what="the begin of the absence"
        )
        with disturbed.absent():
            disturbed.network.thaw()
            await until(lambda: disturbed.dashboard.live, seconds=LOST_SECONDS, what="healed")


async def restart_the_broker(disturbed: DisturbedBridge) -> None:
    disturbed.broker.stop()
    await until(lambda: not disturbed.dashboard.live, seconds=NOTICE_SECONDS, what="it is noticed")
    disturbed.broker.start()
    await until(lambda: disturbed.dashboard.live, seconds=LOST_SECONDS, what="healed")


# What must hold


def without_explained(wrong: Mismatches, truth: PlayedTruth, journalled: Journalled) -> Mismatches:
    """Return the mismatches of the ledger that the devices do not explain."""
    kept_aside = {report_of(entry) for entry in journalled.entries if entry.disposition.effect.value == "quarantined"}
    old = {report_of(entry) for entry in journalled.entries if entry.input.retained}
    unexplained: Mapping[str, list[object]] = {
        **wrong,
        "doubled": [
            doubled
            for doubled in wrong.get("doubled", ())
            if truth.identifies(as_report(doubled))
            and not is_of_a_connection(as_report(doubled))
            and took_effect_again(as_report(doubled), journalled)
        ],
        "invented": [
            invented
            for invented in wrong.get("invented", ())
            if invented not in kept_aside and invented not in old and not is_of_a_connection(as_report(invented))
        ],
    }
    return {name: mismatches for name, mismatches in unexplained.items() if mismatches}


def took_effect_again(report: SentReport, journalled: Journalled) -> bool:
    """Return whether a further copy was applied although the bridge had to know the first: docs/devices.md."""
    copies = [
        entry
        for entry in journalled.entries
        if report_of(entry) == report and not entry.input.retained and entry.disposition.effect.value == "applied"
    ]
    return any(is_remembered(copy, journalled) for copy in copies[1:])


def is_remembered(copy: JournalEntry, journalled: Journalled) -> bool:
    """Return whether the number of a copy was among the last of its boot that are remembered when it was received."""
    device, body = copy.input.topic.rpartition("/")[0], body_of(copy)
    if "seq" not in body:
        return True  # known by its `ts`, among the last 100,000 reports
    later_numbers, boots = set[int](), set[object]()
    for entry in journalled.entries:
        if entry.input.number >= copy.input.number or entry.input.topic.rpartition("/")[0] != device:
            continue
        other = body_of(entry)
        if "seq" in other:
            boots.add(other.get("boot_id"))
            if other.get("boot_id") == body.get("boot_id") and other["seq"] > body["seq"]:
                later_numbers.add(other["seq"])
    return len(later_numbers) < (REMEMBERED if len(boots) == 1 else REMEMBERED_OF_PAST_BOOT)


def body_of(entry: JournalEntry) -> dict[str, Any]:
    """Return what it says; nothing if it is malformed."""
    try:
        body = json.loads(entry.input.payload)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def is_of_a_connection(report: SentReport) -> bool:
    """Return whether it is a Will or a gateway's birth: without a number, and without effect when repeated."""
    return report[0].endswith(("/death", "/_/birth"))


def as_report(entry: object) -> SentReport:
    assert isinstance(entry, tuple)
    topic, payload = entry
    return topic, payload


def pieces_of(truth: PlayedTruth, journalled: Journalled) -> list[PieceAccount]:
    events = [json.loads(event.body) for event in journalled.events]
    line_histories = build_line_histories(truth.truth, DrivenRun(fed=list(truth.fed(journalled.entries))))
    return [
        account for line_history in line_histories.values() for account in accounts(truth.truth, line_history, events)
    ]


def absences_of(journalled: Journalled, away: Sequence[AbsenceSpan]) -> list[AbsenceSpan]:
    """Return the absences that the bridge reports; each begins before the bridge was surely absent."""
    inputs = [entry.input for entry in journalled.entries if entry.input.topic == ABSENCE_TOPIC]
    begins = [BridgeAbsence.decode(entry.payload).since for entry in inputs]
    assert len(begins) == len(away), (begins, away)
    assert all(since <= absence.since for since, absence in zip(begins, away, strict=True)), (begins, away)
    return [AbsenceSpan(since, absence.until) for since, absence in zip(begins, away, strict=True)]


def carried_over(journalled: Journalled, unobserved: Sequence[AbsenceSpan]) -> list[Any]:
    """Return machines reported as running during an absence because they ran before."""
    reported: dict[tuple[str, str], list[tuple[int, str]]] = {}
    for event in (json.loads(event.body) for event in journalled.events if event.type.value == "line_status_update"):
        place = (event["line_id"], event["equipment_code"] or "_")
        reported.setdefault(place, []).append((millis(event["timestamp"]), event["data"]["status"]))
    wrong = []
    for absence in unobserved:
        for place, statuses in reported.items():
            before = [status for status in statuses if status[0] < absence.until]
            at, status = max(before, key=itemgetter(0), default=(0, "offline"))
            if status == "running" and at < absence.since:
                wrong.append((place, absence, at))
    return wrong
