"""The broker killed under load: it may forget reports, but each one lost of a device with a sequence is reported.

P1 begins when the bridge has a report. A killed Mosquitto comes back with what it saved last: sessions, what waited in
them, what is retained. Before every other kill the bridge is absent, so that reports wait in the broker.
"""

import json
import signal
from pathlib import Path

import pytest

from tests.faults.bridge_under_load import BridgeUnderLoad, bridge_under_load
from tests.faults.loss_ledger import Journalled, last_number
from tests.support import run_record
from tests.support.brokers import MOSQUITTO_CONF, mosquitto_broker, running, until

REPORTS = 60
WAITING = 200  # some seconds of the load
SAVED = "saved since the bridge came"


FORMS = [
    pytest.param(1, 60, True, id="short"),
    *(
        pytest.param(times, seconds, saved, id=f"{run}-{seconds}{'' if saved else '-never-saved'}", marks=mark)
        for run, mark, times in (("faults", pytest.mark.faults, 2), ("proof", pytest.mark.proof, 6))
        for seconds, saved in ((60, False), (60, True), (1, True))
    ),
]


@pytest.mark.parametrize(("rounds", "autosave_seconds", "saved"), FORMS)
async def test_loss_in_a_killed_broker_is_reported(
    tmp_path: Path, rounds: int, autosave_seconds: int, *, saved: bool
) -> None:
    conf = f"{MOSQUITTO_CONF}autosave_interval {autosave_seconds}\n"
    (tmp_path / "mosquitto").mkdir()
    with running(mosquitto_broker(tmp_path / "mosquitto", conf=conf)) as broker:
        async with bridge_under_load(tmp_path, broker) as loaded:
            await until(lambda: last_number(loaded.bridge.journal) > REPORTS, seconds=20, what="every device known")
            for _ in range(rounds):
                if saved:
                    broker.send(signal.SIGUSR1)  # it saves: here, what it did within the last minute
                await loaded.load.more(REPORTS)
                await kill_under_the_bridge(loaded)
                await loaded.load.more(REPORTS)
                await kill_with_reports_waiting(loaded)
            since = f"{'' if saved else 'not '}{SAVED}"
            title = f"{2 * rounds} kills of the broker, autosave_interval {autosave_seconds}, {since}"
            ledger = await loaded.close_ledger(title)
    missing, unpublished = ledger.wrong.get("missing", []), ledger.wrong.get("unpublished", [])
    lost = [report for report in missing if has_sequence(report)]
    run_record.note(
        f"{title}: what the broker forgot",
        f"{len(missing)} reports of {len(loaded.load.acknowledged)} that it had acknowledged, {len(lost)} of them with "
        f"a sequence; gaps reported {ledger.journalled.gaps}, "
        f"in events so far {gaps_in_events(ledger.journalled)}; events that a subscriber lacks {len(unpublished)}",
    )
    assert ledger.journalled.gaps == len(lost), "each lost report of a device with a sequence is reported, and no other"
    assert gaps_in_events(ledger.journalled) or not lost, "and an event says so"
    assert all(not has_identity(doubled_report) for doubled_report in ledger.wrong.get("doubled", []))
    assert ledger.wrong.keys() <= {"missing", "unpublished", "doubled"}


async def kill_under_the_bridge(loaded: BridgeUnderLoad) -> None:
    loaded.broker.kill()
    await until(lambda: not loaded.dashboard.live, seconds=5, what="not live")
    loaded.broker.start()
    await until(lambda: loaded.dashboard.live, seconds=20, what="healed")


async def kill_with_reports_waiting(loaded: BridgeUnderLoad) -> None:
    await loaded.bridge.stop(signal.SIGKILL)
    await loaded.load.more(WAITING)
    loaded.broker.kill()
    loaded.broker.start()
    await loaded.bridge.start()


def gaps_in_events(journalled: Journalled) -> int:
    """Count the gaps in `data_quality`: an input that shows a gap may make several events, or none."""
    reported: dict[str, int] = {}
    for event in map(json.loads, (event.body for event in journalled.events)):
        gap = event["data_quality"].get("gap")
        if gap is not None:
            reported[event["caused_by"][0]] = gap
    return sum(reported.values())


def has_sequence(report: object) -> bool:
    return "seq" in _body(report)


def has_identity(report: object) -> bool:
    """Return whether a second delivery can be recognised without the broker's redelivery flag."""
    return bool({"seq", "ts", "id"} & _body(report).keys())


def _body(report: object) -> dict[str, object]:
    assert isinstance(report, tuple)
    return dict(json.loads(report[1]))
