"""The broker killed under load: what it forgets is its own, but of devices with a sequence each lost report is told.

P1 begins when the bridge has a report. A killed Mosquitto comes back with what it saved last: sessions, what waited in
them, what is retained. Before every other kill the bridge is away, so that reports wait in the broker.
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
async def test_what_a_killed_broker_forgets_is_told(
    tmp_path: Path, rounds: int, autosave_seconds: int, *, saved: bool
) -> None:
    conf = f"{MOSQUITTO_CONF}autosave_interval {autosave_seconds}\n"
    (tmp_path / "mosquitto").mkdir()
    with running(mosquitto_broker(tmp_path / "mosquitto", conf=conf)) as broker:
        async with bridge_under_load(tmp_path, broker) as this:
            await until(lambda: last_number(this.bridge.journal) > REPORTS, seconds=20, what="every device known")
            for _ in range(rounds):
                if saved:
                    broker.send(signal.SIGUSR1)  # it saves: here, what it did within the last minute
                await this.load.more(REPORTS)
                await kill_under_the_bridge(this)
                await this.load.more(REPORTS)
                await kill_with_reports_waiting(this)
            since = f"{'' if saved else 'not '}{SAVED}"
            title = f"{2 * rounds} kills of the broker, autosave_interval {autosave_seconds}, {since}"
            ledger = await this.books(title)
    missing, unpublished = ledger.wrong.get("missing", []), ledger.wrong.get("unpublished", [])
    lost = [each for each in missing if has_sequence(each)]
    run_record.note(
        f"{title}: what the broker forgot",
        f"{len(missing)} reports of {len(this.load.acknowledged)} that it had acknowledged, {len(lost)} of them with "
        f"a sequence; gaps told {ledger.held.gaps}, "
        f"in events by now {gaps_in_events(ledger.held)}; events that a subscriber lacks {len(unpublished)}",
    )
    assert ledger.held.gaps == len(lost), "each lost report of a device with a sequence is told, and no other"
    assert gaps_in_events(ledger.held) or not lost, "and an event says so"
    assert all(not has_identity(each) for each in ledger.wrong.get("doubled", []))
    assert ledger.wrong.keys() <= {"missing", "unpublished", "doubled"}


async def kill_under_the_bridge(this: BridgeUnderLoad) -> None:
    this.broker.kill()
    await until(lambda: not this.dashboard.live, seconds=5, what="told")
    this.broker.start()
    await until(lambda: this.dashboard.live, seconds=20, what="healed")


async def kill_with_reports_waiting(this: BridgeUnderLoad) -> None:
    await this.bridge.stop(signal.SIGKILL)
    await this.load.more(WAITING)
    this.broker.kill()
    this.broker.start()
    await this.bridge.start()


def gaps_in_events(held: Journalled) -> int:
    """Count what `data_quality` tells: an input that shows a gap may make several events, or none."""
    told: dict[str, int] = {}
    for event in map(json.loads, (each.body for each in held.events)):
        gap = event["data_quality"].get("gap")
        if gap is not None:
            told[event["caused_by"][0]] = gap
    return sum(told.values())


def has_sequence(report: object) -> bool:
    return "seq" in _body(report)


def has_identity(report: object) -> bool:
    """Whether a second delivery can be known without the broker's help."""
    return bool({"seq", "ts", "id"} & _body(report).keys())


def _body(report: object) -> dict[str, object]:
    assert isinstance(report, tuple)
    return dict(json.loads(report[1]))
